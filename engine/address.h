// Internet addresses as they stand on the wire.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace swnat {

// Holds the four octets in wire order, so that packets are compared and rewritten without swapping.
struct Ipv4Address {
  std::uint32_t wire = 0;

  static constexpr Ipv4Address from_host(std::uint32_t host_order) {
    return {__builtin_bswap32(host_order)};
  }
  static constexpr Ipv4Address of(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return from_host(std::uint32_t{a} << 24 | std::uint32_t{b} << 16 | std::uint32_t{c} << 8 | d);
  }
  constexpr std::uint32_t host() const { return __builtin_bswap32(wire); }

  friend constexpr bool operator==(Ipv4Address, Ipv4Address) = default;
};
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "wire order is converted by a byte swap");

// An address and a port (or ICMP identifier). The port is in host byte order.
template <class Address>
struct Endpoint {
  Address address;
  std::uint16_t port = 0;

  friend constexpr bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace swnat
