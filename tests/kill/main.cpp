// Theory of operation
//
// A child process attaches an engine to session memory that it shares with its parent, and works at
// it with all its threads. At a random instant the parent kills it, often while it is still
// attaching, and looks at what is there; then the next child takes that over. SWNAT_KILLS says how
// many.
//
// Some instants are so short that no kill ever meets them. So before, a child makes one
// instruction after the other (stepper.h); SWNAT_STEPS says how many.
//
// Without them it does what takes a minute at most on a busy machine.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/kill/life.h"
#include "tests/kill/refusals.h"
#include "tests/kill/stepper.h"
#include "tests/kill/witness.h"

using namespace swnat;
using namespace swnat::test;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::microseconds work_max = 5ms;
constexpr std::chrono::microseconds attach_max = 500us;
constexpr auto patience = 60s;  // until a child does anything

class Killer {
 public:
  explicit Killer(Scene& scene)
      : scene_(scene),
        random_(static_cast<std::uint32_t>(::getpid())),
        witness_(scene.ledger, scene.repertoires, random_()) {}

  void kill_one();
  void report() const;

 private:
  void wait_for_the_instant();
  void wait_for(Phase phase) const;

  Scene& scene_;
  Dice random_;
  Witness witness_;
  int killed_in_[3] = {};  // by phase
};

void Killer::kill_one() {
  if (random_.one_in(64)) scene_.start_anew();
  const std::uint32_t seed = random_();
  scene_.ledger.phase = Phase::started;
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("no child process");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // should the parent end otherwise
    live(scene_, seed);
  }
  wait_for_the_instant();
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSIGNALED(status) || scene_.ledger.phase == Phase::failed) {
    throw std::runtime_error(scene_.ledger.failure.data());
  }
  ++killed_in_[static_cast<std::size_t>(scene_.ledger.phase.load())];
  witness_.examine(scene_.memory);
}

void Killer::wait_for_the_instant() {
  const std::uint32_t choice = random_.below(16);
  if (choice == 0) return;  // wherever it is
  const bool while_attaching = choice < 6;
  wait_for(while_attaching ? Phase::attaching : Phase::working);
  const auto span = while_attaching ? attach_max : work_max;
  // Short waits are as likely as long ones: attaching is soon done.
  const auto longest = static_cast<std::uint32_t>(span.count()) >> random_.below(6);
  const auto until = Clock::now() + std::chrono::microseconds(random_.below(longest + 1));
  while (Clock::now() < until) {
  }
}

void Killer::wait_for(Phase phase) const {
  const auto until = Clock::now() + patience;
  while (scene_.ledger.phase.load() < phase && Clock::now() < until) std::this_thread::yield();
}

void Killer::report() const {
  const auto in = [this](Phase phase) { return killed_in_[static_cast<std::size_t>(phase)]; };
  const Deeds& deeds = scene_.ledger.deeds;
  std::printf("killed %d at the start, %d while attaching, %d at work\n", in(Phase::started),
              in(Phase::attaching), in(Phase::working));
  const auto number = [](const std::atomic<std::uint64_t>& count) {
    return static_cast<unsigned long long>(count.load());
  };
  std::printf(
      "%llu sessions opened, %llu times refreshed, %llu closed, %llu evicted, %llu expired\n",
      number(deeds.opened), number(deeds.refreshed), number(deeds.closed), number(deeds.evicted),
      number(deeds.expired));
  for (const auto* count :
       {&deeds.opened, &deeds.refreshed, &deeds.closed, &deeds.evicted, &deeds.expired}) {
    if (*count == 0) throw std::runtime_error("too little was done to show anything");
  }
}

int wanted(const char* variable, int otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

void step(Scene& scene) {
  const auto steps =
      examine_every_step(scene, static_cast<std::uint64_t>(wanted("SWNAT_STEPS", 40'000)));
  if (steps) {
    std::printf("%llu instructions, after which the memory was in %llu states\n",
                static_cast<unsigned long long>(steps->instructions),
                static_cast<unsigned long long>(steps->states));
  } else {
    std::printf("not led by instructions: ptrace is not allowed here\n");
  }
}

void kill(Scene& scene) {
  const int kills = wanted("SWNAT_KILLS", 40);
  Killer killer(scene);
  for (int i = 1; i <= kills; ++i) {
    try {
      killer.kill_one();
    } catch (const std::runtime_error& error) {
      throw std::runtime_error("after kill " + std::to_string(i) + ": " + error.what());
    }
  }
  killer.report();
}

}  // namespace

int main() {
  try {
    Scene scene;
    step(scene);
    kill(scene);
    std::printf("%d kinds of other memory refused\n",
                examine_refusals(scene.memory, Time(scene.ledger.clock)));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "FAILED %s\n", error.what());
    return 1;
  }
}
