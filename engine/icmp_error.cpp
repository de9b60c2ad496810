// Theory of operation
//
// An error quotes the first bytes of the packet that it is about. The quotation names the session:
// an error from outside quotes a packet that the NAT sent, as its outside leg has it; one from
// inside quotes a packet that the NAT delivered. So the quotation is rewritten the way back, and
// the error's own address on the NAT's side is replaced like any packet's. An error changes nothing
// in the session: it neither refreshes nor ends it (RFC 5508 REQ-6, RFC 5382 REQ-10).
#include "engine/icmp_error.h"

#include <algorithm>

#include "engine/bytes.h"
#include "engine/checksum.h"
#include "engine/headers.h"

namespace swnat {
namespace {

constexpr std::size_t quoted_transport_min = 8;  // RFC 792

bool sums_to_zero(std::span<const std::uint8_t> bytes) {
  return fold(sum_of(bytes)) == 0xffff;
}

// What of a quoted packet the rewrite may change: its IP header and the transport header up to its
// checksum.
std::span<std::uint8_t> changeable(const Quoted& quoted, const Packet& error) {
  constexpr std::size_t transport_max = 20;
  const std::size_t transport = std::min<std::size_t>(quoted.packet.transport_size, transport_max);
  return error.bytes.subspan(quoted.offset, quoted.packet.transport + transport);
}

}  // namespace

std::optional<Reason> parse_quoted(const Packet& error, const Parsed<Ipv4>& parsed,
                                   Quoted& quoted) {
  const auto icmp = error.bytes.subspan(parsed.transport, parsed.transport_size);
  if (icmp.size() < icmp_header_size + ipv4_header_min) return Reason::malformed_icmp_error;
  if (error.checksum == ChecksumState::complete && !sums_to_zero(icmp)) {
    return Reason::malformed_icmp_error;
  }
  const auto quotation = icmp.subspan(icmp_header_size);
  const std::size_t header_size = std::size_t{quotation[0]} % 16 * 4;
  const bool is_whole = quotation[0] >> 4 == 4 && header_size >= ipv4_header_min &&
                        quotation.size() >= header_size + quoted_transport_min;
  if (!is_whole || !sums_to_zero(quotation.first(header_size)) ||
      (load_be16(&quotation[6]) & ipv4_fragment_offset) != 0) {
    return Reason::malformed_icmp_error;
  }
  Parsed<Ipv4>& packet = quoted.packet;
  quoted.offset = static_cast<std::uint16_t>(parsed.transport + icmp_header_size);
  packet.source.wire = load_wire<std::uint32_t>(&quotation[Ipv4::source_offset]);
  packet.destination.wire = load_wire<std::uint32_t>(&quotation[Ipv4::destination_offset]);
  packet.transport = static_cast<std::uint16_t>(header_size);
  packet.transport_size = static_cast<std::uint16_t>(quotation.size() - header_size);
  packet.protocol = quotation[9];
  const std::uint8_t* transport = &quotation[header_size];
  packet.source_port = load_be16(transport);
  packet.destination_port = load_be16(transport + 2);
  if (packet.protocol == protocol::icmp) {
    const std::uint8_t type = transport[0];
    if (type != icmp_type::echo_request && type != icmp_type::echo_reply)
      return Reason::malformed_icmp_error;
    const std::uint16_t identifier = load_be16(transport + 4);
    packet.source_port = type == icmp_type::echo_request ? identifier : std::uint16_t{0};
    packet.destination_port = type == icmp_type::echo_reply ? identifier : std::uint16_t{0};
  } else if (packet.protocol != protocol::tcp && packet.protocol != protocol::udp) {
    return Reason::unsupported_protocol;
  }
  return {};
}

ErrorRewrite inbound_error_rewrite(const Session<Ipv4>& session, const Parsed<Ipv4>& parsed) {
  const Leg<Ipv4>& leg = session.inside;
  return {parsed.source,
          leg.local,
          {leg.local, leg.remote, leg.local_port, leg.remote_port,
           static_cast<ChecksumDelta>(~session.address_delta),
           static_cast<ChecksumDelta>(~session.transport_delta)}};
}

// The error's sender may be any router inside: outside it is seen as the session's external
// address.
ErrorRewrite outbound_error_rewrite(const Session<Ipv4>& session) {
  const Leg<Ipv4>& leg = session.outside;
  return {leg.local,
          leg.remote,
          {leg.remote, leg.local, leg.remote_port, leg.local_port, session.address_delta,
           session.transport_delta}};
}

void apply(const ErrorRewrite& rewrite, const Parsed<Ipv4>& parsed, const Quoted& quoted,
           Packet& error) {
  const auto touched = changeable(quoted, error);
  const std::uint64_t before = sum_of(touched);
  Packet quotation{.bytes = touched};
  apply(rewrite.quoted, quoted.packet, quotation);
  const ChecksumDelta quoted_delta = delta_of(before, sum_of(touched));

  std::uint8_t* ip = error.bytes.data();
  const ChecksumDelta address_delta =
      delta_of(Ipv4::sum(parsed.source) + Ipv4::sum(parsed.destination),
               Ipv4::sum(rewrite.source) + Ipv4::sum(rewrite.destination));
  write_addresses(ip, rewrite.source, rewrite.destination, address_delta);
  std::uint8_t* icmp = ip + parsed.transport;
  if (error.checksum == ChecksumState::complete) {
    update_field(icmp + icmp_checksum_offset, quoted_delta);
  } else {
    write_full_sum(icmp, icmp_checksum_offset, 0, parsed.transport_size);
  }
}

}  // namespace swnat
