#include "nfq/log_stream.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "rules/terminal/priority.h"

namespace swnat::nfq {

LogStream::LogStream(int fd, bool has_priorities) : fd_(fd), has_priorities_(has_priorities) {
  struct stat file {};
  if (::fstat(fd, &file) != 0 || !(S_ISFIFO(file.st_mode) || S_ISCHR(file.st_mode))) return;
  const std::string path = fmt::format("/proc/self/fd/{}", fd);
  own_ = FileDescriptor(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

void LogStream::write(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (is_cut_ && write_line("")) is_cut_ = false;
    // Together, so that a little room is not used up by numbers of lines.
    const std::string before = lost_ == 0 ? "" : lost_text();
    if (!is_cut_ && write_line(fmt::format("{}{}", before, line))) {
      lost_ = 0;
    } else {
      ++lost_;
    }
  }
}

std::string LogStream::lost_text() const {
  const std::string text = fmt::format("swnat-nfq: {} line{} lost\n", lost_, lost_ == 1 ? "" : "s");
  return has_priorities_ ? rules::with_priority(rules::Priority::warning, text) : text;
}

bool LogStream::write_line(std::string_view line) {
  const std::string whole = fmt::format("{}\n", line);
  std::string_view rest = whole;
  while (!rest.empty()) {
    // A pipe takes pieces of this size as a whole or not at all.
    const std::int64_t written = write_some(rest.substr(0, PIPE_BUF));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (!rest.empty() && rest.size() < whole.size()) is_cut_ = true;
  return rest.empty();
}

std::int64_t LogStream::write_some(std::string_view bytes) const {
  if (own_) return ::write(own_.get(), bytes.data(), bytes.size());
  const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  pollfd ready{fd_, POLLOUT, 0};
  if (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return 0;
  return ::write(fd_, bytes.data(), bytes.size());
}

}  // namespace swnat::nfq
