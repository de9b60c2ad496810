// The parse gate: the one place where a packet's bounds are checked. Whatever passes has whole,
// consistent headers; later stages rely on it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/base/bytes.h"
#include "engine/wire/family.h"
#include "engine/wire/headers.h"
#include "engine/wire/leg.h"
#include "swnat/packet.h"
#include "swnat/reason.h"

namespace swnat {

// Which part of its datagram a packet is, as its IP header says.
struct Piece {
  std::uint32_t identification;  // IPv6: 0 without a fragment header
  std::uint16_t offset;          // in bytes
  bool more;

  bool is_first_of_several() const { return offset == 0 && more; }
  bool is_later() const { return offset != 0; }
  bool is_fragment() const { return offset != 0 || more; }
};

// What the gate found. Offsets are from the first byte of the IP header.
template <class Family>
struct Parsed {
  typename Family::Address source;
  typename Family::Address destination;
  std::uint16_t source_port;       // ICMP echo request: the identifier; echo reply: 0
  std::uint16_t destination_port;  // ICMP echo reply: the identifier; echo request: 0
  std::uint16_t transport_offset;
  std::uint16_t transport_size;         // its header and payload; what its checksum covers
  std::uint16_t identification_offset;  // 0 where there is no such field
  std::uint8_t protocol;
  std::uint8_t tcp_flags;
  bool is_icmp_error;  // then the packet that it quotes says which session it belongs to
  Piece piece;         // a later fragment has no ports and nothing of a transport header

  // The packet as a leg, seen from the side it comes from.
  Leg<Family> leg_from_inside() const {
    return {source, destination, source_port, destination_port};
  }
  Leg<Family> leg_from_outside() const {
    return {destination, source, destination_port, source_port};
  }
};

// Whether both its addresses may be hosts'.
template <class Family>
bool is_from_host(const Parsed<Family>& parsed) {
  return Family::is_host(parsed.source) && Family::is_host(parsed.destination);
}

// 4 or 6, or what else stands in the first bits; 0 for no bytes.
inline std::uint8_t ip_version(std::span<const std::uint8_t> bytes) {
  return bytes.empty() ? 0 : bytes[0] >> 4;
}

// Nothing if the packet may go on, else why it is dropped. Bytes beyond the length that the IP
// header says are ignored. What every packet passes is here, so that a batch's loop has it inline;
// what few do is in parse.cpp.
template <class Family>
std::optional<Reason> parse(std::span<const std::uint8_t> bytes, Direction direction,
                            Parsed<Family>& parsed);

// Reads addresses, protocol, fragment and where the transport begins from an IP header of which
// `available` bytes are there, whatever its length field says: also of a quoted packet, which is
// cut. `parsed.transport_size` is what is there of the transport.
std::optional<Reason> parse_ip(std::span<const std::uint8_t> available, Parsed<Ipv4>& parsed);
std::optional<Reason> parse_ip(std::span<const std::uint8_t> available, Parsed<Ipv6>& parsed);

// Whether a transport header holds together in a datagram of `size` bytes. At least udp_header_size
// of them can be read, and of TCP none if there are fewer than its own header.
inline bool is_sound_udp(const std::uint8_t* header, std::size_t size) {
  const std::size_t length = load_be16(header + 4);
  return length >= udp_header_size && length <= size;
}
inline bool is_sound_tcp(const std::uint8_t* header, std::size_t size) {
  if (size < tcp_header_min) return false;
  const std::size_t header_size = std::size_t{header[12]} >> 4 << 2;
  return header_size >= tcp_header_min && header_size <= size;
}

// The pieces of the gate. `transport` is the transport header.
template <class Family>
std::optional<Reason> parse_tcp(const std::uint8_t* transport, Parsed<Family>& parsed);
template <class Family>
std::optional<Reason> parse_udp(const std::uint8_t* transport, Parsed<Family>& parsed);
template <class Family>
std::optional<Reason> parse_icmp(const std::uint8_t* transport, Direction direction,
                                 Parsed<Family>& parsed);
template <class Family>
std::optional<Reason> check_fragment(const Parsed<Family>& parsed);
// IPv6 extension headers (RFC 8200 section 4), from the one that the IP header names.
std::optional<Reason> walk_extensions(std::span<const std::uint8_t> available,
                                      Parsed<Ipv6>& parsed);

template <class Family>
inline std::optional<Reason> parse(std::span<const std::uint8_t> bytes, Direction direction,
                                   Parsed<Family>& parsed) {
  if (ip_version(bytes) != Family::version) return Reason::not_ip;
  if (bytes.size() < Family::header_min) return Reason::malformed_ip;
  const std::size_t length = Family::length(bytes.data());
  if (length < Family::header_min || length > bytes.size()) return Reason::malformed_ip;
  if (const auto fault = parse_ip(bytes.first(length), parsed)) return fault;
  parsed.source_port = 0;
  parsed.destination_port = 0;
  parsed.tcp_flags = 0;
  parsed.is_icmp_error = false;
  if (parsed.piece.is_fragment()) {
    if (const auto fault = check_fragment(parsed)) return fault;
    if (parsed.piece.is_later()) return {};
  }
  const std::uint8_t* transport = bytes.data() + parsed.transport_offset;
  if (parsed.protocol == protocol::tcp) return parse_tcp(transport, parsed);
  if (parsed.protocol == protocol::udp) return parse_udp(transport, parsed);
  if (parsed.protocol == Family::icmp_protocol) return parse_icmp(transport, direction, parsed);
  if (protocol::is_portless(parsed.protocol)) return {};
  return Reason::unsupported_protocol;
}

inline std::optional<Reason> parse_ip(std::span<const std::uint8_t> available,
                                      Parsed<Ipv4>& parsed) {
  const std::uint8_t* ip = available.data();
  if (available.size() < ipv4_header_min) return Reason::malformed_ip;
  const std::size_t header_size = std::size_t{ip[0]} % 16 * 4;
  if (header_size < ipv4_header_min || header_size > available.size()) return Reason::malformed_ip;
  const std::uint16_t flags = load_be16(ip + 6);
  parsed.piece.identification = load_be16(ip + ipv4_identification_offset);
  parsed.piece.offset = static_cast<std::uint16_t>((flags & ipv4_fragment_offset) * 8);
  parsed.piece.more = (flags & ipv4_more_fragments) != 0;
  parsed.identification_offset = ipv4_identification_offset;
  parsed.source.wire = load_wire<std::uint32_t>(ip + Ipv4::source_offset);
  parsed.destination.wire = load_wire<std::uint32_t>(ip + Ipv4::destination_offset);
  parsed.transport_offset = static_cast<std::uint16_t>(header_size);
  parsed.transport_size = static_cast<std::uint16_t>(available.size() - header_size);
  parsed.protocol = ip[9];
  return {};
}

inline std::optional<Reason> parse_ip(std::span<const std::uint8_t> available,
                                      Parsed<Ipv6>& parsed) {
  const std::uint8_t* ip = available.data();
  if (available.size() < ipv6_header_size) return Reason::malformed_ip;
  parsed.piece = {};
  parsed.identification_offset = 0;
  parsed.source.wire[0] = load_wire<std::uint64_t>(ip + Ipv6::source_offset);
  parsed.source.wire[1] = load_wire<std::uint64_t>(ip + Ipv6::source_offset + 8);
  parsed.destination.wire[0] = load_wire<std::uint64_t>(ip + Ipv6::destination_offset);
  parsed.destination.wire[1] = load_wire<std::uint64_t>(ip + Ipv6::destination_offset + 8);
  parsed.protocol = ip[6];
  if (parsed.protocol != protocol::tcp && parsed.protocol != protocol::udp) {
    return walk_extensions(available, parsed);
  }
  parsed.transport_offset = ipv6_header_size;
  parsed.transport_size = static_cast<std::uint16_t>(available.size() - ipv6_header_size);
  return {};
}

template <class Family>
inline std::optional<Reason> parse_tcp(const std::uint8_t* transport, Parsed<Family>& parsed) {
  if (!is_sound_tcp(transport, parsed.transport_size)) return Reason::malformed_transport;
  parsed.source_port = load_be16(transport);
  parsed.destination_port = load_be16(transport + 2);
  parsed.tcp_flags = transport[13];
  return {};
}

template <class Family>
inline std::optional<Reason> parse_udp(const std::uint8_t* transport, Parsed<Family>& parsed) {
  // A first fragment tells the length of the whole datagram.
  const std::size_t whole = parsed.piece.more ? datagram_max : parsed.transport_size;
  if (parsed.transport_size < udp_header_size || !is_sound_udp(transport, whole)) {
    return Reason::malformed_transport;
  }
  // What lies beyond it is not covered by the checksum.
  if (!parsed.piece.more) parsed.transport_size = load_be16(transport + 4);
  parsed.source_port = load_be16(transport);
  parsed.destination_port = load_be16(transport + 2);
  return {};
}

}  // namespace swnat
