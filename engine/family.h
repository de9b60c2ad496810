// What differs between the address families, as one template argument for everything that does not.
#pragma once

#include <cstdint>

#include "engine/address.h"
#include "engine/headers.h"

namespace swnat {

struct Ipv4 {
  using Address = Ipv4Address;

  static constexpr std::uint8_t icmp_protocol = protocol::icmp;
  static constexpr bool icmp_covers_addresses = false;  // ICMPv6's checksum has a pseudo-header

  static constexpr std::size_t source_offset = 12;
  static constexpr std::size_t destination_offset = 16;
  static constexpr std::size_t header_checksum_offset = 10;

  static std::uint64_t sum(Address address) { return address.wire; }
  static std::uint64_t words(Address address) { return address.wire; }

  // Whether a host may have it: not "this network", loopback, multicast, reserved or broadcast.
  static bool is_host(Address address) {
    const std::uint32_t first_octet = address.host() >> 24;
    return first_octet != 0 && first_octet != 127 && first_octet < 224;
  }
};

}  // namespace swnat
