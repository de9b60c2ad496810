// Owners for libsystemd's event loop, and for open files.
#pragma once

#include <systemd/sd-event.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <utility>

namespace swnat::pcp {

// One clear line for people: what could not be done, where, and why.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct LoopRelease {
  void operator()(sd_event* loop) const { sd_event_unref(loop); }
};
using Loop = std::unique_ptr<sd_event, LoopRelease>;

// The callback is not called again once its source is released, which a callback may do itself.
struct SourceRelease {
  void operator()(sd_event_source* source) const { sd_event_source_disable_unref(source); }
};
using Source = std::unique_ptr<sd_event_source, SourceRelease>;

// Owns an open file, or none (-1).
class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace swnat::pcp
