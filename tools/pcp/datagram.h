// One UDP datagram with the addresses that it came from and was sent to.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>

#include "swnat/address.h"
#include "tools/pcp/octets.h"
#include "tools/pcp/pcp_message.h"

namespace swnat::pcp {

// An endpoint as the kernel has it.
class Address {
 public:
  explicit Address(const IpEndpoint& endpoint, unsigned link = 0);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

class Datagram {
 public:
  // False if none waits.
  bool receive(int fd);

  // One byte more than a message may have shows that it has too many.
  View bytes() const { return {bytes_.data(), size_}; }
  // Nothing for what the kernel did not tell.
  std::optional<IpEndpoint> source() const;
  std::optional<IpAddress> destination() const { return destination_; }

 private:
  void read_destination(msghdr& header);

  std::array<std::uint8_t, longest_message + 1> bytes_;
  std::size_t size_ = 0;
  sockaddr_storage source_{};
  std::optional<IpAddress> destination_;
};

// By this link, from this address of the gateway's. What cannot be sent at once is lost.
void send_datagram(int fd, View message, const IpEndpoint& to, const std::optional<IpAddress>& from,
                   unsigned link);

}  // namespace swnat::pcp
