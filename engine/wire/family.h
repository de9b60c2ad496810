// What differs between the address families, as one template argument for everything that does not.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/hash.h"
#include "engine/wire/headers.h"
#include "swnat/address.h"
#include "swnat/policy.h"

namespace swnat {

struct Ipv4 {
  using Address = Ipv4Address;

  static constexpr std::uint8_t version = 4;
  static constexpr std::size_t header_min = ipv4_header_min;
  static constexpr std::size_t source_offset = 12;
  static constexpr std::size_t destination_offset = 16;
  static constexpr bool has_header_checksum = true;
  static constexpr std::size_t header_checksum_offset = 10;

  static constexpr std::uint8_t icmp_protocol = protocol::icmp;
  static constexpr bool icmp_covers_addresses = false;
  static constexpr std::uint8_t echo_request = icmp_type::echo_request;
  static constexpr std::uint8_t echo_reply = icmp_type::echo_reply;
  static constexpr bool is_icmp_error(std::uint8_t type) {
    return type == icmp_type::unreachable || type == icmp_type::time_exceeded ||
           type == icmp_type::parameter_problem;
  }

  static const std::vector<Address>& of(const AddressLists& lists) { return lists.v4; }

  // How long the IP header says that the packet is.
  static std::size_t length(const std::uint8_t* ip) { return load_be16(ip + 2); }

  static std::uint64_t sum(Address address) { return address.wire; }
  static std::uint64_t hash(Address a, Address b, std::uint64_t rest, const Secret& secret) {
    return fold_multiply((std::uint64_t{b.wire} << 32 | a.wire) ^ secret[0], rest ^ secret[1]);
  }

  // Whether a host may have it: not "this network", loopback, multicast, reserved or broadcast.
  static bool is_host(Address address) {
    const std::uint32_t first_octet = address.host() >> 24;
    return first_octet != 0 && first_octet != 127 && first_octet < 224;
  }
};

struct Ipv6 {
  using Address = Ipv6Address;

  static constexpr std::uint8_t version = 6;
  static constexpr std::size_t header_min = ipv6_header_size;
  static constexpr std::size_t source_offset = 8;
  static constexpr std::size_t destination_offset = 24;
  static constexpr bool has_header_checksum = false;

  static constexpr std::uint8_t icmp_protocol = protocol::icmpv6;
  static constexpr bool icmp_covers_addresses = true;  // its checksum has a pseudo-header
  static constexpr std::uint8_t echo_request = icmpv6_type::echo_request;
  static constexpr std::uint8_t echo_reply = icmpv6_type::echo_reply;
  static constexpr bool is_icmp_error(std::uint8_t type) {
    return type >= icmpv6_type::unreachable && type <= icmpv6_type::parameter_problem;
  }

  static const std::vector<Address>& of(const AddressLists& lists) { return lists.v6; }

  static std::size_t length(const std::uint8_t* ip) { return header_min + load_be16(ip + 4); }

  // Of 32-bit words, because 64-bit ones would lose carries.
  static std::uint64_t sum(const Address& address) {
    constexpr std::uint64_t low = 0xffff'ffff;
    return (address.wire[0] & low) + (address.wire[0] >> 32) + (address.wire[1] & low) +
           (address.wire[1] >> 32);
  }
  static std::uint64_t hash(const Address& a, const Address& b, std::uint64_t rest,
                            const Secret& secret) {
    const std::uint64_t networks = fold_multiply(a.wire[0] ^ secret[0], b.wire[0] ^ secret[1]);
    const std::uint64_t hosts = fold_multiply(a.wire[1] ^ secret[2], b.wire[1] ^ secret[3]);
    return fold_multiply(networks ^ secret[1], hosts ^ rest ^ secret[0]);
  }

  // Whether a host may have it beyond its own link: not unspecified, loopback, multicast,
  // link-local or an IPv4 address in disguise (RFC 4291 section 2.5.5).
  static bool is_host(const Address& address) {
    const std::uint64_t network = __builtin_bswap64(address.wire[0]);
    const std::uint64_t host = __builtin_bswap64(address.wire[1]);
    const bool is_multicast = network >> 56 == 0xff;
    const bool is_link_local = network >> 54 == 0xfe80 >> 6;
    const bool is_disguised =
        network == 0 && host >> 48 == 0;  // ::, ::1, ::a.b.c.d, ::ffff:a.b.c.d
    return !is_multicast && !is_link_local && !is_disguised;
  }
};

}  // namespace swnat
