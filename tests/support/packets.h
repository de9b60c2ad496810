// Packets as hosts send them, and what they must look like: built, read and summed by naive code of
// its own, so that the engine's arithmetic is never its own judge.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "swnat/address.h"

namespace swnat::test {

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;
using Host = Ipv4Address;
using Peer = Endpoint<Ipv4Address>;

// What differs between IP headers beside the addresses.
struct IpFields {
  Bytes options = {};  // padded by the builder to whole words
  std::uint8_t protocol = 0;
  std::uint8_t ttl = 64;
  std::uint16_t id = 0x1234;
  std::uint16_t fragment = 0x4000;  // flags and offset: don't fragment
};

struct TcpFields {
  std::uint8_t flags = 0x02;  // SYN
  std::uint32_t sequence = 1000;
  std::uint32_t acknowledgment = 0;
  std::uint16_t window = 0xfaf0;
  std::uint8_t reserved = 0;  // the low half of the data offset's byte
  Bytes options = {};         // padded by the builder to whole words
};

// Transports, their checksums 0.
Bytes udp_datagram(std::uint16_t from, std::uint16_t to, const Bytes& payload);
Bytes tcp_segment(std::uint16_t from, std::uint16_t to, const TcpFields& fields,
                  const Bytes& payload);
Bytes icmp_message(std::uint8_t type, std::uint8_t code, std::uint32_t rest, const Bytes& payload);

// The packet with right lengths and header checksum, its transport as it is.
Bytes ip_packet(Host source, Host destination, const Bytes& transport, const IpFields& ip);

Bytes udp(Peer from, Peer to, const Bytes& payload = {}, const IpFields& ip = {});
Bytes tcp(Peer from, Peer to, const TcpFields& fields = {}, const Bytes& payload = {},
          const IpFields& ip = {});
Bytes icmp(Host from, Host to, std::uint8_t type, std::uint8_t code, std::uint16_t identifier,
           const Bytes& payload = {}, const IpFields& ip = {});
Bytes echo_request(Peer from, Host to, const Bytes& payload = {}, const IpFields& ip = {});
Bytes echo_reply(Host from, Peer to, const Bytes& payload = {}, const IpFields& ip = {});

struct IcmpKind {
  std::uint8_t type = 3;
  std::uint8_t code = 3;
};
// An ICMP error that quotes the first `size` bytes of the packet.
Bytes error_about(View packet, Host from, Host to, IcmpKind kind = {}, std::size_t size = 548);

// A packet of protocol 1, 6 or 17 from one endpoint to another that opens a session: an echo
// request, a SYN or a datagram.
Bytes opening(std::uint8_t protocol, Peer from, Peer to);
// What the other side answers: an echo reply, a SYN with ACK or a datagram.
Bytes answer(std::uint8_t protocol, Peer from, Peer to);

// Bytes that differ from each other and with the seed.
Bytes payload_of(std::size_t size, std::uint32_t seed = 1);
Bytes text(std::string_view characters);

// Reading, of either family but where it says otherwise; IPv6 has no header checksum, so it is
// right always. An echo request has its identifier as the source port, an echo reply as the
// destination port.
std::uint16_t word_at(View packet, std::size_t offset);
void set_word(Bytes& packet, std::size_t offset, std::uint32_t word);
std::uint8_t protocol_of(View packet);
std::size_t transport_offset(View packet);
std::size_t total_length(View packet);
std::uint16_t source_port_of(View packet);
std::uint16_t destination_port_of(View packet);
Peer source_of(View packet);  // IPv4; IPv6 in packets6.h
Peer destination_of(View packet);

// Checksums. Offsets are of the field in the packet.
inline constexpr std::size_t header_checksum_offset = 10;
std::size_t transport_checksum_offset(View packet);
std::uint16_t naive_sum(View bytes);           // folded, of big-endian words, not inverted
std::uint16_t pseudo_header_sum(View packet);  // folded, not inverted
std::uint16_t right_header_checksum(View packet);
std::uint16_t right_transport_checksum(View packet);
bool header_checksum_is_right(View packet);
bool transport_checksum_is_right(View packet);
bool sums_right(View packet);  // both
// How far a checksum is off, as a one's-complement number: 0 if it is right.
std::uint16_t header_damage(View packet);
std::uint16_t transport_damage(View packet);

// The packet with another word, or with a checksum as it must be.
Bytes with_word(Bytes packet, std::size_t offset, std::uint32_t word);
Bytes header_summed(Bytes packet);
Bytes transport_summed(Bytes packet);
// As a sender leaves it for others to complete: the pseudo-header's sum alone.
Bytes pseudo_summed(Bytes packet);
// The transport checksum 0, which says of a datagram that it has none.
Bytes unsummed(Bytes packet);

// What an ICMP error quotes.
Bytes quoted_in(View error);
bool begins_with(const Bytes& whole, const Bytes& start);

}  // namespace swnat::test
