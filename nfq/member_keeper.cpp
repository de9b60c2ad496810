#include "nfq/member_keeper.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

#include "nfq/clock.h"
#include "nfq/error.h"
#include "nfq/log.h"

namespace swnat::nfq {
namespace {

constexpr int gathering = 5;    // milliseconds, for those that come together
constexpr int busy_pause = 10;  // until it is tried again
constexpr int record_pause = 500;

}  // namespace

MemberKeeper::MemberKeeper(std::string control_socket, Engine& engine)
    : engine_(engine),
      wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      interfaces_(std::make_shared<const Interfaces>()),
      follower_(std::move(control_socket),
                [this](const std::vector<std::uint32_t>& fwmarks) { end_sessions(fwmarks); }) {
  if (!wakeup_) throw Error(fmt::format("eventfd: {}", std::strerror(errno)));
}

MemberKeeper::~MemberKeeper() {
  request_stop();
  if (thread_.joinable()) thread_.join();
}

void MemberKeeper::start() {
  follow();
  thread_ = std::thread([this] { run(); });
}

void MemberKeeper::request_stop() {
  stopping_ = true;
  const std::uint64_t one = 1;
  // It fails only where it is woken already.
  [[maybe_unused]] const ssize_t written = ::write(wakeup_.get(), &one, sizeof one);
}

std::shared_ptr<const MemberKeeper::Interfaces> MemberKeeper::interfaces() const {
  const Lock lock(mutex_);
  return interfaces_;
}

std::vector<std::string> MemberKeeper::notes() const {
  const Lock lock(mutex_);
  return notes_;
}

void MemberKeeper::run() {
  ::pthread_setname_np(::pthread_self(), "members");
  while (!stopping_) {
    wait();
    if (!stopping_) follow();
  }
}

void MemberKeeper::wait() {
  std::array<pollfd, 2> all{{{events_.fd(), POLLIN, 0}, {wakeup_.get(), POLLIN, 0}}};
  const int longest = is_busy_ ? busy_pause : record_pause;
  if (::poll(all.data(), all.size(), longest) <= 0) return;
  if ((all[0].revents & POLLIN) != 0) ::poll(&all[1], 1, gathering);
}

void MemberKeeper::follow() {
  try {
    is_changed_ = events_.read(links_) || is_changed_;
    using Outcome = rules::MemberFollower::Outcome;
    const Outcome outcome = follower_.follow(links_, is_changed_);
    is_busy_ = outcome == Outcome::busy;
    if (is_busy_) return;
    is_changed_ = false;
    if (outcome == Outcome::done) tell();
    told_fault_.clear();
  } catch (const std::bad_alloc&) {
    // Tried again with the next look, and not told: that takes memory, too.
  } catch (const std::exception& error) {
    // Tried again with the next look; told once.
    const std::string text = error.what();
    if (text != told_fault_) log(Priority::error, "members: {}", text);
    told_fault_ = text;
  }
}

void MemberKeeper::end_sessions(const std::vector<std::uint32_t>& fwmarks) {
  SessionPattern pattern;
  for (const std::uint32_t fwmark : fwmarks) {
    auto& ranges = pattern.namespaces;
    if (!ranges.empty() && ranges.back().last + 1 == fwmark) {
      ranges.back().last = fwmark;
    } else {
      ranges.push_back({fwmark, fwmark});
    }
  }
  Engine::Cursor cursor;
  while (engine_.end_sessions(pattern, cursor, now())) {
  }
}

void MemberKeeper::tell() {
  std::vector<std::string> notes;
  for (const auto& [range, count] : follower_.waiting()) {
    notes.push_back(rules::waiting_text(range, count));
  }
  // Once, with a count: it changes with each that comes.
  if (!notes.empty() && !were_waiting_) {
    for (const std::string& each : notes) log(Priority::warning, "{}", each);
  } else if (notes.empty() && were_waiting_) {
    log(Priority::notice, "all interfaces of ranges have a fwmark");
  }
  were_waiting_ = !notes.empty();
  auto interfaces = std::make_shared<const Interfaces>(follower_.interfaces());
  const Lock lock(mutex_);
  interfaces_ = std::move(interfaces);
  notes_ = std::move(notes);
}

}  // namespace swnat::nfq
