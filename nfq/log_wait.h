// How long an output of the mapping log may still wait for its socket.
#pragma once

#include <poll.h>

#include <chrono>

namespace swnat::nfq {

// For all of one attempt to give it records: who takes little must not be waited for again with
// each of them, because all outputs share a thread.
class LogWait {
 public:
  explicit LogWait(std::chrono::milliseconds longest) : end_(Clock::now() + longest) {}

  // False if the socket takes nothing until then, or the time is over.
  bool becomes_writable(int fd) const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now());
    if (left.count() <= 0) return false;
    pollfd ready{fd, POLLOUT, 0};
    return ::poll(&ready, 1, static_cast<int>(left.count())) == 1;
  }

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point end_;
};

}  // namespace swnat::nfq
