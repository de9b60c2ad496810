// A client of the control socket, in the same thread as the server: it never waits.
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <string>

#include "nfq/file_descriptor.h"

namespace swnat::test {

class ControlClient {
 public:
  explicit ControlClient(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
               0);
  }

  void send(const std::string& request) {
    REQUIRE_EQ(::send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL),
               static_cast<ssize_t>(request.size()));
  }
  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }

  // Takes what has come; true at the end of the answer.
  bool receive() {
    std::array<char, 4096> bytes;
    const ssize_t size = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (size > 0) text.append(bytes.data(), static_cast<std::size_t>(size));
    return size == 0 || (size < 0 && errno == ECONNRESET);
  }

  std::string text;

 private:
  nfq::FileDescriptor fd_;
};

}  // namespace swnat::test
