// Lines for people into a file that may take none at the moment.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nfq/file_descriptor.h"

namespace swnat::nfq {

// Theory of operation
//
// Who reads standard error may be slow, stopped or stuck, and a write to its full pipe would wait,
// with everything else the writing thread has to do. O_NONBLOCK would be the way, but it belongs to
// the open file, which other processes share: a shell and its terminal, or a script's other
// programs. So a pipe or a terminal is opened once more, for this process alone. Where that is not
// allowed, as after su(1), poll() is asked before: a pipe that is ready takes PIPE_BUF bytes at
// once, unless another process fills it in between. A socket is told with each message. Files on
// disks do not keep anyone waiting.
class LogStream {
 public:
  // `has_priorities`: what it says itself begins with one, as the journal takes it.
  explicit LogStream(int fd, bool has_priorities = false);

  // Writes the text's lines as far as they are taken at once, and counts those that are not. How
  // many these were is the first that is written when there is room again. Not for two threads.
  void write(std::string_view text);

 private:
  std::string lost_text() const;
  bool write_line(std::string_view line);
  std::int64_t write_some(std::string_view bytes) const;

  int fd_;
  bool has_priorities_;
  FileDescriptor own_;
  std::uint64_t lost_ = 0;  // lines
  bool is_cut_ = false;     // the last line has no end
};

}  // namespace swnat::nfq
