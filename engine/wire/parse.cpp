#include "engine/wire/parse.h"

#include "engine/wire/fragment.h"

namespace swnat {

using Fault = std::optional<Reason>;

namespace {

// Extension headers before the transport. Hosts send one or two; who sends more wants to keep
// others busy (RFC 8504 section 5.3).
constexpr int ipv6_extensions_max = 8;

}  // namespace

template <class Family>
Fault parse_icmp(const std::uint8_t* transport, Direction direction, Parsed<Family>& parsed) {
  if (parsed.transport_size < icmp_header_size) return Reason::malformed_transport;
  const std::uint8_t type = transport[0];
  if (Family::is_icmp_error(type)) {
    // It must be whole, for its checksum is judged (RFC 5508 REQ-3).
    if (parsed.piece.is_fragment()) return Reason::malformed_icmp_error;
    parsed.is_icmp_error = true;
    return {};
  }
  const std::uint16_t identifier = load_be16(transport + icmp_identifier_offset);
  if (transport[1] != 0) return Reason::icmp_unsupported;
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

template <class Family>
Fault check_fragment(const Parsed<Family>& parsed) {
  // What counts towards the length of the datagram before its fragmented part.
  const std::size_t header_size =
      Family::version == 4 ? parsed.transport_offset
                           : parsed.transport_offset - ipv6_header_size - ipv6_fragment_header_size;
  const Fragment fragment{.header_size = static_cast<std::uint32_t>(header_size),
                          .offset = parsed.piece.offset,
                          .size = parsed.transport_size,
                          .more = parsed.piece.more,
                          .protocol = parsed.protocol};
  return is_sound(fragment) ? Fault{} : Reason::malformed_fragment;
}

// Each header names the next. The chain ends at the transport, or in a later fragment at its
// payload.
Fault walk_extensions(std::span<const std::uint8_t> available, Parsed<Ipv6>& parsed) {
  const auto end_at = [&](std::size_t place) {
    parsed.transport_offset = static_cast<std::uint16_t>(place);
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
        if (left < ipv6_fragment_header_size || parsed.identification_offset != 0)
          return Reason::malformed_ip;
        const std::uint16_t flags = load_be16(header + 2);
        parsed.piece.offset = flags & ipv6_fragment_offset;
        parsed.piece.more = (flags & ipv6_more_fragments) != 0;
        parsed.piece.identification = load_be32(header + ipv6_fragment_identification_offset);
        parsed.identification_offset =
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

#define SWNAT_INSTANTIATE(Family)                                             \
  template Fault parse_icmp(const std::uint8_t*, Direction, Parsed<Family>&); \
  template Fault check_fragment(const Parsed<Family>&);
SWNAT_INSTANTIATE(Ipv4)
SWNAT_INSTANTIATE(Ipv6)
#undef SWNAT_INSTANTIATE

}  // namespace swnat
