// A socket that reads what outputs of the mapping log send.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "nfq/file_descriptor.h"
#include "nfq/log_datagrams.h"
#include "swnat/address_text.h"

namespace swnat::test {

// A socket that reads datagrams, or what connects to it.
class SocketReader {
 public:
  explicit SocketReader(const std::string& path) : SocketReader(AF_UNIX, SOCK_DGRAM, path) {}
  explicit SocketReader(int type) : SocketReader(AF_INET, type, "") {}

  IpEndpoint endpoint() const {
    sockaddr_in name{};
    socklen_t size = sizeof name;
    REQUIRE_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
    return {parse_address("127.0.0.1").value(), ntohs(name.sin_port)};
  }
  std::string next() const { return next_of(socket_.get()); }
  nfq::FileDescriptor accept() const {
    return nfq::FileDescriptor(::accept(socket_.get(), nullptr, nullptr));
  }

  static std::string next_of(int fd) {
    std::array<char, 65536> bytes;
    const ssize_t size = ::recv(fd, bytes.data(), bytes.size(), 0);
    REQUIRE_GE(size, 0);
    return {bytes.data(), static_cast<std::size_t>(size)};
  }

 private:
  SocketReader(int family, int type, const std::string& path)
      : socket_(::socket(family, type | SOCK_CLOEXEC, 0)) {
    const auto address =
        family == AF_UNIX
            ? nfq::DatagramAddress::of_path(path)
            : nfq::DatagramAddress::of_endpoint({parse_address("127.0.0.1").value(), 0});
    REQUIRE_EQ(
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address.socket), address.size), 0);
    if (type == SOCK_STREAM) REQUIRE_EQ(::listen(socket_.get(), 4), 0);
  }

  nfq::FileDescriptor socket_;
};

}  // namespace swnat::test
