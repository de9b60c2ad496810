// Whether a fragment may be what it says, judged by itself.
//
// A datagram whose transport header is spread over fragments, or is overwritten by a later one,
// shows the NAT other ports and flags than its receiver (RFC 1858, RFC 3128). Nobody who means well
// sends such fragments: the smallest link carries 68 bytes.
#pragma once

#include <cstdint>

#include "engine/wire/headers.h"

namespace swnat {

struct Fragment {
  // What the datagram has before its fragmented part and what counts towards its length: the IPv4
  // header, or the extension headers before the IPv6 fragment header.
  std::uint32_t header_size = 0;
  std::uint32_t offset = 0;  // bytes: eight times what the header says
  std::uint32_t size = 0;    // bytes of the fragmented part that it carries
  bool more = false;         // others follow behind it
  std::uint8_t protocol = 0;

  bool is_first() const { return offset == 0; }
};

// What a first fragment must hold of the transport header: all that the NAT reads and rewrites.
constexpr std::uint32_t first_fragment_min(std::uint8_t protocol_number) {
  switch (protocol_number) {
    case protocol::tcp:
      return tcp_header_min;
    case protocol::udp:
      return udp_header_size;
    case protocol::icmp:
    case protocol::icmpv6:
      return icmp_header_size;
    default:
      return 0;
  }
}

// A first fragment holds the transport header whole, and no later one begins inside it; all but the
// last are multiples of eight bytes, none is empty, and no datagram grows beyond 65,535 bytes.
constexpr bool is_sound(const Fragment& fragment) {
  if (fragment.size == 0) return false;
  if (fragment.more && fragment.size % 8 != 0) return false;
  if (std::uint64_t{fragment.header_size} + fragment.offset + fragment.size > datagram_max) {
    return false;
  }
  const std::uint32_t reaches = fragment.is_first() ? fragment.size : fragment.offset;
  return reaches >= first_fragment_min(fragment.protocol);
}

}  // namespace swnat
