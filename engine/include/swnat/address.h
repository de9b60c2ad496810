// Internet addresses as they stand on the wire.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <variant>

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

// 0 if they are the same. Several of these are joined by | and tested once, because parts nearly
// always agree when they are compared.
constexpr std::uint32_t difference(Ipv4Address a, Ipv4Address b) {
  return a.wire ^ b.wire;
}

// Holds the sixteen octets in wire order, as two words that are read and written as they lie in
// memory.
struct Ipv6Address {
  std::array<std::uint64_t, 2> wire{};

  static Ipv6Address of(const std::array<std::uint8_t, 16>& octets) {
    Ipv6Address address;
    std::memcpy(address.wire.data(), octets.data(), octets.size());
    return address;
  }
  std::array<std::uint8_t, 16> octets() const {
    std::array<std::uint8_t, 16> octets;
    std::memcpy(octets.data(), wire.data(), octets.size());
    return octets;
  }

  friend constexpr bool operator==(const Ipv6Address& a, const Ipv6Address& b);
};

constexpr std::uint64_t difference(const Ipv6Address& a, const Ipv6Address& b) {
  return (a.wire[0] ^ b.wire[0]) | (a.wire[1] ^ b.wire[1]);
}
constexpr bool operator==(const Ipv6Address& a, const Ipv6Address& b) {
  return difference(a, b) == 0;
}

// An address of either family.
using IpAddress = std::variant<Ipv4Address, Ipv6Address>;

// An address and a port (or ICMP identifier). The port is in host byte order.
template <class Address>
struct Endpoint {
  Address address;
  std::uint16_t port = 0;

  operator Endpoint<IpAddress>() const requires(!std::is_same_v<Address, IpAddress>) {
    return {address, port};
  }
  friend constexpr bool operator==(const Endpoint&, const Endpoint&) = default;
};
using IpEndpoint = Endpoint<IpAddress>;

// All addresses that begin with the first `length` bits of `address`, whose other bits are zero.
template <class Address>
struct Network {
  Address address;
  std::uint8_t length = 0;

  bool contains(const Address& other) const;

  friend constexpr bool operator==(const Network&, const Network&) = default;
};
using IpNetwork = std::variant<Network<Ipv4Address>, Network<Ipv6Address>>;

template <class Address>
bool Network<Address>::contains(const Address& other) const {
  std::uint8_t own[sizeof(Address)];
  std::uint8_t theirs[sizeof(Address)];
  std::memcpy(own, &address, sizeof own);
  std::memcpy(theirs, &other, sizeof theirs);
  const std::size_t whole = length / 8;
  if (std::memcmp(own, theirs, whole) != 0) return false;
  const unsigned rest = length % 8;
  return rest == 0 || (own[whole] ^ theirs[whole]) >> (8 - rest) == 0;
}

}  // namespace swnat
