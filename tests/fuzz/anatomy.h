// What a packet of either family says, read by code that shares nothing with the engine's parse
// gate, and written for plainness.
#pragma once

#include <cstdint>
#include <optional>

#include "swnat/address.h"
#include "tests/support/packets.h"

namespace swnat::fuzz {

using test::Bytes;
using test::set_word;
using test::View;
using test::word_at;

namespace number {  // of protocols and extension headers
inline constexpr std::uint8_t hop_by_hop = 0;
inline constexpr std::uint8_t icmp = 1;
inline constexpr std::uint8_t tcp = 6;
inline constexpr std::uint8_t udp = 17;
inline constexpr std::uint8_t routing = 43;
inline constexpr std::uint8_t fragment = 44;
inline constexpr std::uint8_t gre = 47;
inline constexpr std::uint8_t icmpv6 = 58;
inline constexpr std::uint8_t destination_options = 60;
}  // namespace number

// Offsets are from the first byte of the IP header.
struct Anatomy {
  int version = 0;
  std::size_t length = 0;  // of the packet; bytes beyond do not belong to it
  IpAddress source;
  IpAddress destination;
  std::size_t source_at = 0;
  std::size_t address_size = 0;
  std::uint8_t protocol = 0;
  std::size_t transport = 0;
  std::size_t transport_size = 0;  // what is there of it
  std::size_t identification = 0;  // where it lies, 0 if there is none
  std::uint32_t identification_is = 0;
  bool dont_fragment = false;         // IPv4's flag
  std::uint32_t fragment_offset = 0;  // bytes
  bool more = false;
  int extensions = 0;  // beside the fragment header
  int fragment_headers = 0;
  bool is_source_routed = false;  // has a routing header that is not used up

  bool is_later() const { return fragment_offset != 0; }
  bool is_fragment() const { return is_later() || more; }
  bool is_icmp() const { return protocol == (version == 4 ? number::icmp : number::icmpv6); }
  bool has_ports() const { return protocol == number::tcp || protocol == number::udp; }
};

// Nothing if the headers do not fit into the bytes. `is_quoted`: the packet is cut, so that its
// length field says nothing.
std::optional<Anatomy> read(View bytes, bool is_quoted = false);

// ICMP's types, for those packets that are not later fragments and have a type.
bool is_icmp_error(View packet, const Anatomy& anatomy);
bool is_echo_request(View packet, const Anatomy& anatomy);
bool is_echo_reply(View packet, const Anatomy& anatomy);

// With the ports of TCP and UDP; an echo's identifier is the port of who asked. The other ports
// are 0. Not for later fragments.
struct Ends {
  IpEndpoint source;
  IpEndpoint destination;
};
Ends ends_of(View packet, const Anatomy& anatomy);

// Where the packet that an ICMP error quotes begins.
inline std::size_t quoted_at(const Anatomy& error) {
  return error.transport + 8;
}

// --- sums, as one's-complement numbers: how far a checksum is off; 0 if it is right

// Of the IPv4 header.
std::uint16_t header_damage(View packet, const Anatomy& anatomy);

// Where the transport has its checksum, if what is there of the packet reaches that far.
std::optional<std::size_t> transport_sum_at(View packet, const Anatomy& anatomy);

// Of what is there of the transport. Nothing where there is no sum: UDP may have none.
std::optional<std::uint16_t> transport_damage(View packet, const Anatomy& anatomy);

// Of the pseudo-header's addresses alone, folded, not inverted.
std::uint16_t address_sum(View packet, const Anatomy& anatomy);
std::uint16_t ones_sum(std::uint16_t a, std::uint16_t b);
std::uint16_t one_zero(std::uint16_t number);

}  // namespace swnat::fuzz
