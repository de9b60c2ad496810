#include "engine/parse.h"

#include "engine/bytes.h"
#include "engine/headers.h"

namespace swnat {
namespace {

using Fault = std::optional<Reason>;

Fault parse_tcp(const std::uint8_t* header, Parsed<Ipv4>& parsed) {
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

Fault parse_udp(const std::uint8_t* header, Parsed<Ipv4>& parsed) {
  if (parsed.transport_size < udp_header_size) return Reason::malformed_transport;
  const std::uint16_t length = load_be16(header + 4);
  if (length < udp_header_size || length > parsed.transport_size) {
    return Reason::malformed_transport;
  }
  parsed.transport_size = length;  // what lies beyond it is not covered by the checksum
  parsed.source_port = load_be16(header);
  parsed.destination_port = load_be16(header + 2);
  return {};
}

Fault parse_icmp(const std::uint8_t* header, Direction direction, Parsed<Ipv4>& parsed) {
  if (parsed.transport_size < icmp_header_size) return Reason::malformed_transport;
  const std::uint16_t identifier = load_be16(header + 4);
  switch (header[0]) {
    case icmp_type::echo_request:
      if (direction == Direction::inbound || header[1] != 0) return Reason::icmp_unsupported;
      parsed.source_port = identifier;
      parsed.destination_port = 0;
      return {};
    case icmp_type::echo_reply:
      if (direction != Direction::inbound || header[1] != 0) return Reason::icmp_unsupported;
      parsed.source_port = 0;
      parsed.destination_port = identifier;
      return {};
    case icmp_type::unreachable:
    case icmp_type::time_exceeded:
    case icmp_type::parameter_problem:
      parsed.is_icmp_error = true;
      parsed.source_port = 0;
      parsed.destination_port = 0;
      return {};
    default:
      return Reason::icmp_unsupported;
  }
}

}  // namespace

Fault parse(std::span<const std::uint8_t> bytes, Direction direction, Parsed<Ipv4>& parsed) {
  const std::uint8_t* ip = bytes.data();
  if (bytes.empty() || ip[0] >> 4 != 4) return Reason::not_ip;
  if (bytes.size() < ipv4_header_min) return Reason::malformed_ip;
  const std::size_t header_size = std::size_t{ip[0]} % 16 * 4;
  const std::size_t total = load_be16(ip + 2);
  if (header_size < ipv4_header_min || total < header_size || total > bytes.size()) {
    return Reason::malformed_ip;
  }
  // A fragment but the first has no ports, and the first alone says nothing of the rest.
  if ((load_be16(ip + 6) & (ipv4_more_fragments | ipv4_fragment_offset)) != 0)
    return Reason::fragment;

  parsed.source.wire = load_wire<std::uint32_t>(ip + Ipv4::source_offset);
  parsed.destination.wire = load_wire<std::uint32_t>(ip + Ipv4::destination_offset);
  parsed.transport = static_cast<std::uint16_t>(header_size);
  parsed.transport_size = static_cast<std::uint16_t>(total - header_size);
  parsed.protocol = ip[9];
  parsed.tcp_flags = 0;
  parsed.is_icmp_error = false;
  const std::uint8_t* transport = ip + header_size;
  switch (parsed.protocol) {
    case protocol::tcp:
      return parse_tcp(transport, parsed);
    case protocol::udp:
      return parse_udp(transport, parsed);
    case protocol::icmp:
      return parse_icmp(transport, direction, parsed);
    default:
      return Reason::unsupported_protocol;
  }
}

}  // namespace swnat
