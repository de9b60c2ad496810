#include "tests/kill/stepper.h"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>

#include "engine/session/session_memory.h"
#include "engine/wire/family.h"
#include "tests/kill/witness.h"

namespace swnat::test {
namespace {

constexpr std::uint32_t lives = 2;

class Stepper {
 public:
  explicit Stepper(Scene& scene) : scene_(scene), before_(scene.memory.size()) {}

  // False where ptrace is not allowed.
  bool step_through_life(std::uint32_t seed, std::uint64_t instructions);
  const Steps& steps() const { return steps_; }

 private:
  bool stops(int signal) const;
  void step(std::uint32_t seed);
  bool has_changed();
  template <class Family>
  bool has_changed();
  bool has_changed(std::span<const std::byte> part);
  bool has_changed(std::size_t offset, std::size_t size);
  void examine(std::uint32_t seed);
  const SessionMemoryHeader& header() const {
    return *reinterpret_cast<const SessionMemoryHeader*>(scene_.memory.data());
  }

  Scene& scene_;
  pid_t child_ = 0;
  const Policy policy_ = kill_policy();
  std::vector<std::byte> before_;
  Steps steps_;
};

bool Stepper::step_through_life(std::uint32_t seed, std::uint64_t instructions) {
  scene_.ledger.phase = Phase::started;
  child_ = ::fork();
  if (child_ < 0) throw std::runtime_error("no child process");
  if (child_ == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(0);
    ::raise(SIGSTOP);
    live_alone(scene_, seed);
  }
  if (!stops(SIGSTOP)) return false;
  while (header().format.magic == 0) step(seed);
  has_changed();
  ::ptrace(PTRACE_CONT, child_, nullptr, nullptr);
  if (!stops(SIGSTOP)) throw std::runtime_error(scene_.ledger.failure.data());
  has_changed();
  for (; instructions > 0; --instructions) step(seed);
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
  Witness(scene_.ledger, scene_.repertoires, seed).examine(scene_.memory);
  return true;
}

bool Stepper::stops(int signal) const {
  int status = 0;
  ::waitpid(child_, &status, 0);
  return WIFSTOPPED(status) && WSTOPSIG(status) == signal;
}

void Stepper::step(std::uint32_t seed) {
  ::ptrace(PTRACE_SINGLESTEP, child_, nullptr, nullptr);
  if (!stops(SIGTRAP)) throw std::runtime_error(scene_.ledger.failure.data());
  ++steps_.instructions;
  if (has_changed()) examine(seed);
}

bool Stepper::has_changed() {
  bool changed = has_changed(0, sizeof(SessionMemoryHeader));
  changed |= has_changed<Ipv4>();
  changed |= has_changed<Ipv6>();
  return changed;
}

// Compares the records that were ever used, which are few of all.
template <class Family>
bool Stepper::has_changed() {
  const EngineOptions options = kill_options(scene_.memory, 0, {});
  bool changed = false;
  for (std::uint32_t shard = 0; shard < options.shards; ++shard) {
    const auto part = session_memory_part<Family>(
        scene_.memory, options.shards, shard_capacity(options.max_sessions, options.shards),
        policy_, shard);
    // And the next record, in case it is written before it counts as used.
    const auto used = part.records.first(std::min<std::size_t>(part.used + 1, part.records.size()));
    changed |= has_changed(std::as_bytes(used));
    changed |= has_changed(std::as_bytes(part.asides.first(used.size())));
    changed |= has_changed(std::as_bytes(part.made.first(used.size())));
  }
  return changed;
}

bool Stepper::has_changed(std::span<const std::byte> part) {
  return has_changed(static_cast<std::size_t>(part.data() - scene_.memory.data()), part.size());
}

bool Stepper::has_changed(std::size_t offset, std::size_t size) {
  const std::byte* const now = scene_.memory.data() + offset;
  if (std::memcmp(now, before_.data() + offset, size) == 0) return false;
  std::memcpy(before_.data() + offset, now, size);
  return true;
}

// The child goes on afterwards, so its ledger stays as it is.
void Stepper::examine(std::uint32_t seed) {
  ++steps_.states;
  Scene copy;
  std::memcpy(static_cast<void*>(&copy.ledger), &scene_.ledger, sizeof(Ledger));
  Witness(copy.ledger, copy.repertoires, seed).examine(scene_.memory);
}

}  // namespace

std::optional<Steps> examine_every_step(Scene& scene, std::uint64_t instructions) {
  scene.start_anew();
  Stepper stepper(scene);
  for (std::uint32_t seed = 1; seed <= lives; ++seed) {
    try {
      if (!stepper.step_through_life(seed, instructions / lives)) return {};
    } catch (const std::runtime_error& error) {
      throw std::runtime_error("in life " + std::to_string(seed) + ", after " +
                               std::to_string(stepper.steps().instructions) +
                               " instructions: " + error.what());
    }
  }
  return stepper.steps();
}

}  // namespace swnat::test
