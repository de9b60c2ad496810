#include "nfq/worker.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

#include "nfq/clock.h"
#include "nfq/error.h"

namespace swnat::nfq {
namespace {

// Sessions looked at before the next packets have their turn.
constexpr std::uint32_t expiry_budget = 128;
// Without a packet in between. More would only hide what is wrong.
constexpr int max_rebinds_in_a_row = 5;

void signal_event(int event) {
  const std::uint64_t one = 1;
  // Fails only when the event is already set.
  [[maybe_unused]] const ssize_t written = ::write(event, &one, sizeof one);
}

}  // namespace

Worker::Worker(Engine& engine, const WorkerOptions& options)
    : engine_(engine),
      options_(options),
      packets_(engine, counters_, options.queue.number, options.fwmark_mask, answers_),
      socket_(std::in_place, options.queue),
      stop_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!stop_event_) {
    throw Error(fmt::format("queue {}: eventfd: {}", options.queue.number, std::strerror(errno)));
  }
}

Worker::~Worker() {
  request_stop();
  join();
}

void Worker::start() {
  beat_ = now().count();
  thread_ = std::thread([this] { run(); });
}

void Worker::request_stop() {
  stopping_ = true;
  signal_event(stop_event_.get());
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

std::optional<std::string> Worker::failure() const {
  if (!failed_) return std::nullopt;
  return failure_;
}

void Worker::run() {
  ::pthread_setname_np(::pthread_self(), fmt::format("queue-{}", options_.queue.number).c_str());
  if (options_.cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<std::size_t>(options_.cpu), &cpus);
    // Where this is not allowed the scheduler's choice is as right, only slower.
    ::pthread_setaffinity_np(::pthread_self(), sizeof cpus, &cpus);
  }
  while (!stopping_ && turn()) {
  }
  if (socket_) packets_.drop_held(*socket_);
  socket_.reset();
}

// One round: packets that wait, then what is due, then a pause if nothing was there. False when the
// queue is lost for good.
bool Worker::turn() {
  const Time time = now();
  beat_.store(time.count(), std::memory_order_relaxed);
  bool usable = true;
  bool idle = false;
  switch (const int error = buffer_.receive(socket_->fd())) {
    case 0:
      usable = answer_batch(time);
      if (usable) rebinds_in_a_row_ = 0;
      break;
    case EAGAIN:
      idle = true;
      break;
    case EINTR:
      break;
    case ENOBUFS:  // the kernel dropped packets; the socket goes on
      counters_.add(QueueCounter::overflows);
      break;
    default:
      usable = false;
      failure_ =
          fmt::format("queue {}: cannot read: {}", options_.queue.number, std::strerror(error));
      break;
  }
  if (time >= next_expiry_) expire(time);
  if (usable) usable = drop_overdue(time);
  if (usable && idle)
    usable = wait(next_expiry_ > time ? static_cast<int>(longest_pause.count()) : 0);
  return usable || bind_again();
}

bool Worker::answer_batch(Time now) {
  for (std::size_t slot = 0; slot < buffer_.count(); ++slot) {
    packets_.take(buffer_.datagram(slot), *socket_, now);
  }
  if (packets_.finish(*socket_, now)) return true;
  failure_ = fmt::format("queue {}: the kernel takes no verdicts", options_.queue.number);
  return false;
}

bool Worker::drop_overdue(Time now) {
  if (packets_.drop_overdue(*socket_, now)) return true;
  failure_ = fmt::format("queue {}: the kernel takes no verdicts", options_.queue.number);
  return false;
}

bool Worker::wait(int milliseconds) {
  pollfd events[] = {{socket_->fd(), POLLIN, 0}, {stop_event_.get(), POLLIN, 0}};
  ::poll(events, std::size(events), milliseconds);
  if ((events[0].revents & POLLNVAL) == 0) return true;
  failure_ = fmt::format("queue {}: the socket is gone", options_.queue.number);
  return false;
}

void Worker::expire(Time now) {
  const std::uint32_t looked_at = engine_.expire(options_.shard, now, expiry_budget);
  // With more to do it goes on in the next round, after the packets that came meanwhile.
  next_expiry_ = looked_at < expiry_budget ? now + longest_pause : now;
}

bool Worker::bind_again() {
  if (++rebinds_in_a_row_ > max_rebinds_in_a_row) {
    fail(failure_);
    return false;
  }
  socket_.reset();
  packets_.forget_held();
  try {
    socket_.emplace(options_.queue);
  } catch (const std::exception& error) {
    fail(fmt::format("{}; it could not be bound again: {}", failure_, error.what()));
    return false;
  }
  counters_.add(QueueCounter::rebinds);
  return true;
}

void Worker::fail(const std::string& text) {
  failure_ = text;
  failed_ = true;
  signal_event(options_.wakeup);
}

}  // namespace swnat::nfq
