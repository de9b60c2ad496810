#include "tools/swnatctl_connection.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace swnat::ctl {
namespace {

std::string reason_of(int error) {
  switch (error) {
    case ENOENT:
    case ECONNREFUSED:
      return "the daemon is not running, or its control.socket is another one (--socket PATH)";
    case EACCES:
      return "permission denied; run as root, or as a member of the socket's group";
    default:
      return std::strerror(error);
  }
}

}  // namespace

Connection::Connection(const std::string& socket, const std::string& request,
                       std::chrono::seconds patience)
    : socket_(socket), patience_(patience), fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (fd_ < 0) throw Error(fmt::format("socket: {}", std::strerror(errno)));
  try {
    connect();
    send(request + '\n');
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

// Connecting waits too, while as many others do as the daemon lets wait. The kernel counts that as
// sending.
void Connection::connect() const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.size() >= sizeof address.sun_path) {
    throw Error(fmt::format("{}: the path is too long; at most {} bytes are allowed", socket_,
                            sizeof address.sun_path - 1));
  }
  socket_.copy(address.sun_path, sizeof address.sun_path - 1);
  const timeval limit{patience_.count(), 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return;
  if (errno == EAGAIN) give_up();
  throw Error(fmt::format("{}: {}", socket_, reason_of(errno)));
}

void Connection::give_up() const {
  throw Error(
      fmt::format("{}: the daemon is there but did not answer for {} second{} (--timeout);"
                  " it is stopped, or hangs",
                  socket_, patience_.count(), patience_.count() == 1 ? "" : "s"));
}

Connection::~Connection() {
  ::close(fd_);
}

void Connection::interrupt() const {
  ::shutdown(fd_, SHUT_RDWR);
}

void Connection::send(const std::string& request) const {
  // It fits in the socket's buffer. A daemon that turns clients away has answered already.
  if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE) {
    if (errno == EAGAIN) give_up();
    throw Error(fmt::format("{}: {}", socket_, std::strerror(errno)));
  }
}

std::optional<std::string> Connection::next_line() {
  for (std::size_t searched = start_;;) {
    const std::size_t end = received_.find('\n', searched);
    if (end != std::string::npos) {
      std::string line = received_.substr(start_, end - start_);
      start_ = end + 1;
      return line;
    }
    received_.erase(0, start_);
    start_ = 0;
    searched = received_.size();
    std::array<char, 65536> bytes;
    const ssize_t size = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (size > 0) {
      received_.append(bytes.data(), static_cast<std::size_t>(size));
    } else if (size == 0 || errno == ECONNRESET) {
      if (received_.empty()) return std::nullopt;
      throw Error(fmt::format("{}: the daemon ended in the middle of its answer", socket_));
    } else if (errno == EAGAIN) {
      give_up();
    } else if (errno != EINTR) {
      throw Error(fmt::format("{}: {}", socket_, std::strerror(errno)));
    }
  }
}

}  // namespace swnat::ctl
