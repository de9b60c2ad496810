#include "engine/parse.h"

#include "engine/bytes.h"
#include "engine/fragment.h"
#include "engine/headers.h"

namespace swnat {
namespace {

using Fault = std::optional<Reason>;

// Extension headers before the transport. Hosts send one or two; who sends more wants to keep
// others busy (RFC 8504 section 5.3).
constexpr int ipv6_extensions_max = 8;

template <class Family>
Fault parse_tcp(const std::uint8_t* header, Parsed<Family>& parsed) {
  if (parsed.transport_size < tcp_header_min) return Reason::malformed_transport;
  const std::size_t header_size = std::size_t{header[12]} >> 4 << 2;
  if (header_size < tcp_header_min || header_size > parsed.transport_size) {
    return Reason::malformed_transport;
  }
  parsed.source_port = load_be16(header);
  parsed.destination_port = load_be16(header + 2);
  parsed.tcp_flags = header[13];
  return {};
}

template <class Family>
Fault parse_udp(const std::uint8_t* header, Parsed<Family>& parsed) {
  if (parsed.transport_size < udp_header_size) return Reason::malformed_transport;
  const std::uint16_t length = load_be16(header + 4);
  // A first fragment tells the length of the whole datagram.
  if (length < udp_header_size || (length > parsed.transport_size && !parsed.piece.more)) {
    return Reason::malformed_transport;
  }
  // What lies beyond it is not covered by the checksum.
  if (!parsed.piece.more) parsed.transport_size = length;
  parsed.source_port = load_be16(header);
  parsed.destination_port = load_be16(header + 2);
  return {};
}

template <class Family>
Fault parse_icmp(const std::uint8_t* header, Direction direction, Parsed<Family>& parsed) {
  if (parsed.transport_size < icmp_header_size) return Reason::malformed_transport;
  const std::uint8_t type = header[0];
  if (Family::is_icmp_error(type)) {
    // It must be whole, for its checksum is judged (RFC 5508 REQ-3).
    if (parsed.piece.is_fragment()) return Reason::malformed_icmp_error;
    parsed.is_icmp_error = true;
    return {};
  }
  const std::uint16_t identifier = load_be16(header + icmp_identifier_offset);
  if (header[1] != 0) return Reason::icmp_unsupported;
  if (type == Family::echo_request && direction != Direction::inbound) {
    parsed.source_port = identifier;
    return {};
  }
  if (type == Family::echo_reply && direction == Direction::inbound) {
    parsed.destination_port = identifier;
    return {};
  }
  return Reason::icmp_unsupported;
}

Fault parse_ip(std::span<const std::uint8_t> available, Parsed<Ipv4>& parsed) {
  const std::uint8_t* ip = available.data();
  if (available.size() < ipv4_header_min) return Reason::malformed_ip;
  const std::size_t header_size = std::size_t{ip[0]} % 16 * 4;
  if (header_size < ipv4_header_min || header_size > available.size()) return Reason::malformed_ip;
  const std::uint16_t flags = load_be16(ip + 6);
  parsed.piece.identification = load_be16(ip + ipv4_identification_offset);
  parsed.piece.offset = static_cast<std::uint16_t>((flags & ipv4_fragment_offset) * 8);
  parsed.piece.more = (flags & ipv4_more_fragments) != 0;
  parsed.identification = ipv4_identification_offset;
  parsed.may_be_fragmented = (flags & ipv4_dont_fragment) == 0;
  parsed.source.wire = load_wire<std::uint32_t>(ip + Ipv4::source_offset);
  parsed.destination.wire = load_wire<std::uint32_t>(ip + Ipv4::destination_offset);
  parsed.transport = static_cast<std::uint16_t>(header_size);
  parsed.transport_size = static_cast<std::uint16_t>(available.size() - header_size);
  parsed.protocol = ip[9];
  return {};
}

// RFC 8200 section 4: each extension header names the next. The chain ends at the transport, or in
// a later fragment at its payload.
Fault walk_extensions(std::span<const std::uint8_t> available, Parsed<Ipv6>& parsed) {
  const auto end_at = [&](std::size_t place) {
    parsed.transport = static_cast<std::uint16_t>(place);
    parsed.transport_size = static_cast<std::uint16_t>(available.size() - place);
  };
  std::size_t at = ipv6_header_size;
  for (int i = 0; i <= ipv6_extensions_max; ++i) {
    const std::uint8_t* header = available.data() + at;
    const std::size_t left = available.size() - at;
    switch (parsed.protocol) {
      case protocol::routing:
        // The checksum then covers an address that is not yet the destination (RFC 8200
        // section 8.1).
        if (left >= 4 && header[3] != 0) return Reason::unsupported_protocol;
        [[fallthrough]];
      case protocol::hop_by_hop:
      case protocol::destination_options: {
        if (left < 8) return Reason::malformed_ip;
        const std::size_t size = (std::size_t{header[1]} + 1) * 8;
        if (size > left) return Reason::malformed_ip;
        parsed.protocol = header[0];
        at += size;
        break;
      }
      case protocol::fragment: {
        if (left < ipv6_fragment_header_size || parsed.identification != 0)
          return Reason::malformed_ip;
        const std::uint16_t flags = load_be16(header + 2);
        parsed.piece.offset = flags & ipv6_fragment_offset;
        parsed.piece.more = (flags & ipv6_more_fragments) != 0;
        parsed.piece.identification = load_be32(header + ipv6_fragment_identification_offset);
        parsed.identification =
            static_cast<std::uint16_t>(at + ipv6_fragment_identification_offset);
        parsed.protocol = header[0];
        at += ipv6_fragment_header_size;
        if (!parsed.piece.is_later()) break;
        end_at(at);
        return {};
      }
      default:
        end_at(at);
        return {};
    }
  }
  return Reason::malformed_ip;
}

Fault parse_ip(std::span<const std::uint8_t> available, Parsed<Ipv6>& parsed) {
  const std::uint8_t* ip = available.data();
  if (available.size() < ipv6_header_size) return Reason::malformed_ip;
  parsed.piece = {};
  parsed.identification = 0;
  parsed.may_be_fragmented = false;
  std::memcpy(&parsed.source, ip + Ipv6::source_offset, sizeof parsed.source);
  std::memcpy(&parsed.destination, ip + Ipv6::destination_offset, sizeof parsed.destination);
  parsed.protocol = ip[6];
  return walk_extensions(available, parsed);
}

// How long the IP header says that the packet is.
std::size_t length_of(std::span<const std::uint8_t> bytes, const Parsed<Ipv4>&) {
  return load_be16(&bytes[2]);
}
std::size_t length_of(std::span<const std::uint8_t> bytes, const Parsed<Ipv6>&) {
  return ipv6_header_size + load_be16(&bytes[4]);
}

template <class Family>
Fault check_fragment(const Parsed<Family>& parsed) {
  // What counts towards the length of the datagram before its fragmented part.
  const std::size_t header_size =
      Family::version == 4 ? parsed.transport
                           : parsed.transport - ipv6_header_size - ipv6_fragment_header_size;
  const Fragment fragment{.header_size = static_cast<std::uint32_t>(header_size),
                          .offset = parsed.piece.offset,
                          .size = parsed.transport_size,
                          .more = parsed.piece.more,
                          .protocol = parsed.protocol};
  return is_sound(fragment) ? Fault{} : Reason::malformed_fragment;
}

}  // namespace

template <class Family>
Fault parse_network(std::span<const std::uint8_t> available, Parsed<Family>& parsed) {
  return parse_ip(available, parsed);
}

template <class Family>
Fault parse(std::span<const std::uint8_t> bytes, Direction direction, Parsed<Family>& parsed) {
  constexpr std::size_t header_min = Family::version == 4 ? ipv4_header_min : ipv6_header_size;
  if (ip_version(bytes) != Family::version) return Reason::not_ip;
  if (bytes.size() < header_min) return Reason::malformed_ip;
  const std::size_t length = length_of(bytes, parsed);
  if (length < header_min || length > bytes.size()) return Reason::malformed_ip;
  if (const Fault fault = parse_ip(bytes.first(length), parsed)) return fault;
  parsed.source_port = 0;
  parsed.destination_port = 0;
  parsed.tcp_flags = 0;
  parsed.is_icmp_error = false;
  if (parsed.piece.is_fragment()) {
    if (const Fault fault = check_fragment(parsed)) return fault;
    if (parsed.piece.is_later()) return {};
  }
  const std::uint8_t* transport = bytes.data() + parsed.transport;
  switch (parsed.protocol) {
    case protocol::tcp:
      return parse_tcp(transport, parsed);
    case protocol::udp:
      return parse_udp(transport, parsed);
    case Family::icmp_protocol:
      return parse_icmp(transport, direction, parsed);
    default:
      return protocol::is_portless(parsed.protocol) ? Fault{} : Reason::unsupported_protocol;
  }
}

template Fault parse_network(std::span<const std::uint8_t>, Parsed<Ipv4>&);
template Fault parse_network(std::span<const std::uint8_t>, Parsed<Ipv6>&);
template Fault parse(std::span<const std::uint8_t>, Direction, Parsed<Ipv4>&);
template Fault parse(std::span<const std::uint8_t>, Direction, Parsed<Ipv6>&);

}  // namespace swnat
