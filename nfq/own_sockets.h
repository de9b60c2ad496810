// Which of the NAT's ports the gateway's own sockets have, of whatever program and age: the NAT
// must not hand them out.
#pragma once

#include <libmnl/libmnl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "swnat/engine.h"

namespace swnat::nfq {

// Not thread-safe.
class OwnSockets {
 public:
  // Of TCP and UDP, bound to one of these addresses or to all, with a port of these.
  OwnSockets(std::vector<IpAddress> addresses, PortRanges ports);

  // Asks the kernel, and tells the engine what has changed. Returns what is wrong if the kernel did
  // not answer, and then leaves the engine as it was; empty if all is well.
  std::string update(Engine& engine);

  // Whether one had the port, of TCP or UDP, at the last answer.
  bool have(std::uint8_t protocol, std::uint16_t port) const;

 private:
  struct Close {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };

  bool read(std::uint8_t protocol, PortBits& ports);
  bool read(std::uint8_t protocol, std::uint8_t family, PortBits& ports);
  void take(const nlmsghdr* message, PortBits& ports) const;

  std::vector<IpAddress> addresses_;
  PortRanges wanted_;
  std::unique_ptr<mnl_socket, Close> socket_;
  std::uint32_t sequence_ = 0;
  std::array<PortBits, 2> known_;  // of TCP and UDP
};

}  // namespace swnat::nfq
