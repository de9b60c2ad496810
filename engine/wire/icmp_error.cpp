// Theory of operation
//
// An error quotes the first bytes of the packet that it is about. The quotation names the session:
// an error from outside quotes a packet that the NAT sent, as its outside leg has it; one from
// inside quotes a packet that the NAT delivered. So the quotation is rewritten the way back, and
// the error's own address on the NAT's side is replaced like any packet's. An error changes nothing
// in the session: it neither refreshes nor ends it (RFC 5508 REQ-6, RFC 5382 REQ-10).
#include "engine/wire/icmp_error.h"

#include <algorithm>

#include "engine/base/bytes.h"
#include "engine/wire/checksum.h"
#include "engine/wire/headers.h"

namespace swnat {
namespace {

// RFC 792 quotes at least 8 bytes. Of a protocol without ports nothing behind the IP header is
// needed, so that some routers' errors, which quote no more, reach whom they are about as well.
constexpr std::size_t quoted_transport_min(std::uint8_t protocol) {
  return protocol::is_portless(protocol) ? 0 : 8;
}

bool sums_to_zero(std::span<const std::uint8_t> bytes, std::uint64_t pseudo_header = 0) {
  return fold(pseudo_header + sum_of(bytes)) == 0xffff;
}

template <class Family>
std::uint64_t pseudo_header_sum(const typename Family::Address& source,
                                const typename Family::Address& destination,
                                std::uint16_t transport_size) {
  if constexpr (!Family::icmp_covers_addresses) return 0;
  return Family::sum(source) + Family::sum(destination) + __builtin_bswap16(Family::icmp_protocol) +
         __builtin_bswap16(transport_size);
}

// What of a quoted packet the rewrite may change: its IP header and the transport header up to its
// checksum.
template <class Family>
std::span<std::uint8_t> changeable(const Quoted<Family>& quoted, const Packet& error) {
  constexpr std::size_t transport_max = 20;
  const std::size_t transport = std::min<std::size_t>(quoted.packet.transport_size, transport_max);
  return error.bytes.subspan(quoted.offset, quoted.packet.transport_offset + transport);
}

template <class Family>
std::optional<Reason> read_quoted_ports(const std::uint8_t* transport, Parsed<Family>& packet) {
  packet.source_port = 0;
  packet.destination_port = 0;
  if (packet.protocol == Family::icmp_protocol) {
    const std::uint16_t identifier = load_be16(transport + icmp_identifier_offset);
    if (transport[0] == Family::echo_request) {
      packet.source_port = identifier;
    } else if (transport[0] == Family::echo_reply) {
      packet.destination_port = identifier;
    } else {
      return Reason::icmp_unsupported;
    }
  } else if (packet.protocol == protocol::tcp || packet.protocol == protocol::udp) {
    packet.source_port = load_be16(transport);
    packet.destination_port = load_be16(transport + 2);
  } else if (!protocol::is_portless(packet.protocol)) {
    return Reason::unsupported_protocol;
  }
  return {};
}

}  // namespace

template <class Family>
std::optional<Reason> parse_quoted(const Packet& error, const Parsed<Family>& parsed,
                                   Quoted<Family>& quoted) {
  const auto icmp = error.bytes.subspan(parsed.transport_offset, parsed.transport_size);
  const std::uint64_t pseudo_header =
      pseudo_header_sum<Family>(parsed.source, parsed.destination, parsed.transport_size);
  if (error.checksum == ChecksumState::complete && !sums_to_zero(icmp, pseudo_header)) {
    return Reason::malformed_icmp_error;
  }
  const auto quotation = icmp.subspan(icmp_header_size);
  Parsed<Family>& packet = quoted.packet;
  if (ip_version(quotation) != Family::version || parse_ip(quotation, packet) ||
      packet.transport_size < quoted_transport_min(packet.protocol) || packet.piece.is_later()) {
    return Reason::malformed_icmp_error;
  }
  if (Family::has_header_checksum && !sums_to_zero(quotation.first(packet.transport_offset))) {
    return Reason::malformed_icmp_error;
  }
  quoted.offset = static_cast<std::uint16_t>(parsed.transport_offset + icmp_header_size);
  return read_quoted_ports(quotation.data() + packet.transport_offset, packet);
}

template <class Family>
void rewrite_error(const ErrorRewrite<Family>& rewrite, const Parsed<Family>& parsed,
                   const Quoted<Family>& quoted, Packet& error) {
  const auto touched = changeable(quoted, error);
  const std::uint64_t before = sum_of(touched);
  Packet quotation{.bytes = touched};
  rewrite_packet(rewrite.quoted, quoted.packet, quotation);
  const std::uint64_t after = sum_of(touched);

  std::uint8_t* ip = error.bytes.data();
  const std::uint64_t addresses_before =
      Family::sum(parsed.source) + Family::sum(parsed.destination);
  const std::uint64_t addresses_after =
      Family::sum(rewrite.source) + Family::sum(rewrite.destination);
  write_addresses<Family>(ip, rewrite.source, rewrite.destination,
                          delta_of(addresses_before, addresses_after));
  std::uint8_t* icmp = ip + parsed.transport_offset;
  if (error.checksum == ChecksumState::complete) {
    const ChecksumDelta delta = Family::icmp_covers_addresses
                                    ? delta_of(addresses_before + before, addresses_after + after)
                                    : delta_of(before, after);
    update_field(icmp + icmp_checksum_offset, delta);
  } else {
    write_full_sum(
        icmp, icmp_checksum_offset,
        pseudo_header_sum<Family>(rewrite.source, rewrite.destination, parsed.transport_size),
        parsed.transport_size);
  }
}

#define SWNAT_INSTANTIATE(Family)                                                   \
  template std::optional<Reason> parse_quoted(const Packet&, const Parsed<Family>&, \
                                              Quoted<Family>&);                     \
  template void rewrite_error(const ErrorRewrite<Family>&, const Parsed<Family>&,   \
                              const Quoted<Family>&, Packet&);
SWNAT_INSTANTIATE(Ipv4)
SWNAT_INSTANTIATE(Ipv6)
#undef SWNAT_INSTANTIATE

}  // namespace swnat
