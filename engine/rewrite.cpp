#include "engine/rewrite.h"

#include "engine/bytes.h"
#include "engine/checksum.h"
#include "engine/headers.h"

namespace swnat {
namespace {

template <class Family>
std::uint64_t pseudo_header_sum(const Rewrite<Family>& rewrite, const Parsed<Family>& parsed) {
  return Family::sum(rewrite.source) + Family::sum(rewrite.destination) +
         __builtin_bswap16(parsed.protocol) + __builtin_bswap16(parsed.transport_size);
}

// RFC 768: a sum of zero is sent as all ones, because zero means that there is none.
void avoid_zero(std::uint8_t* field) {
  if (load_wire<std::uint16_t>(field) == 0) store_wire(field, std::uint16_t{0xffff});
}

template <class Family>
void sum_tcp(const Rewrite<Family>& rewrite, const Parsed<Family>& parsed, ChecksumState state,
             std::uint8_t* transport) {
  if (parsed.transport_size < tcp_checksum_offset + 2)
    return;  // quoted by an ICMP error, and cut there
  if (state == ChecksumState::complete) {
    update_field(transport + tcp_checksum_offset, rewrite.transport_delta);
  } else {
    write_full_sum(transport, tcp_checksum_offset, pseudo_header_sum(rewrite, parsed),
                   parsed.transport_size);
  }
}

template <class Family>
void sum_udp(const Rewrite<Family>& rewrite, const Parsed<Family>& parsed, ChecksumState state,
             std::uint8_t* transport) {
  std::uint8_t* field = transport + udp_checksum_offset;
  switch (state) {
    case ChecksumState::complete:
      if (load_wire<std::uint16_t>(field) == 0) return;  // the sender made none
      update_field(field, rewrite.transport_delta);
      avoid_zero(field);
      return;
    case ChecksumState::partial:
      write_full_sum(transport, udp_checksum_offset, pseudo_header_sum(rewrite, parsed),
                     parsed.transport_size);
      avoid_zero(field);
      return;
    case ChecksumState::segmented:
      // An uninverted sum of the pseudo-header, which has the addresses but not the ports
      // (kernel: udp4_gso_segment, __udp_gso_segment).
      store_wire(field, add(load_wire<std::uint16_t>(field), rewrite.address_delta));
      return;
  }
}

template <class Family>
void write_icmp(const Rewrite<Family>& rewrite, const Parsed<Family>& parsed, ChecksumState state,
                std::uint8_t* transport) {
  // The identifier is the local port; the remote one is 0.
  const auto identifier =
      static_cast<std::uint16_t>(rewrite.source_port | rewrite.destination_port);
  store_be16(transport + icmp_identifier_offset, identifier);
  if (state == ChecksumState::complete) {
    update_field(transport + icmp_checksum_offset, rewrite.transport_delta);
  } else {
    const std::uint64_t pseudo_header =
        Family::icmp_covers_addresses ? pseudo_header_sum(rewrite, parsed) : 0;
    write_full_sum(transport, icmp_checksum_offset, pseudo_header, parsed.transport_size);
  }
}

}  // namespace

void update_field(std::uint8_t* field, ChecksumDelta delta) {
  store_wire(field, updated(load_wire<std::uint16_t>(field), delta));
}

void write_full_sum(std::uint8_t* transport, std::size_t field, std::uint64_t pseudo_header,
                    std::uint16_t size) {
  store_wire(transport + field, std::uint16_t{0});
  const std::uint64_t sum = pseudo_header + sum_of({transport, size});
  store_wire(transport + field, static_cast<std::uint16_t>(~fold(sum)));
}

template <class Family>
void write_addresses(std::uint8_t* ip, const typename Family::Address& source,
                     const typename Family::Address& destination, ChecksumDelta delta) {
  store_wire(ip + Family::source_offset, source.wire);
  store_wire(ip + Family::destination_offset, destination.wire);
  if constexpr (Family::has_header_checksum) {
    update_field(ip + Family::header_checksum_offset, delta);
  }
}

template <class Family>
void write_identification(std::uint8_t* ip, const Parsed<Family>& parsed,
                          std::uint32_t identification) {
  std::uint8_t* field = ip + parsed.identification;
  if constexpr (Family::has_header_checksum) {
    const std::uint16_t before = load_wire<std::uint16_t>(field);
    store_be16(field, static_cast<std::uint16_t>(identification));
    update_field(ip + Family::header_checksum_offset,
                 delta_of(before, load_wire<std::uint16_t>(field)));
  } else {
    store_wire(field, __builtin_bswap32(identification));
  }
}

template <class Family>
void set_deltas(Session<Family>& session) {
  const Leg<Family>& in = session.inside;
  const Leg<Family>& out = session.outside;
  const std::uint64_t addresses_in = Family::sum(in.local) + Family::sum(in.remote);
  const std::uint64_t addresses_out = Family::sum(out.local) + Family::sum(out.remote);
  const std::uint64_t ports_in =
      std::uint64_t{__builtin_bswap16(in.local_port)} + __builtin_bswap16(in.remote_port);
  const std::uint64_t ports_out =
      std::uint64_t{__builtin_bswap16(out.local_port)} + __builtin_bswap16(out.remote_port);
  session.address_delta = delta_of(addresses_in, addresses_out);
  const bool ports_alone =
      session.protocol == Family::icmp_protocol && !Family::icmp_covers_addresses;
  session.transport_delta = ports_alone
                                ? delta_of(ports_in, ports_out)
                                : delta_of(addresses_in + ports_in, addresses_out + ports_out);
}

template <class Family>
void apply(const Rewrite<Family>& rewrite, const Parsed<Family>& parsed, Packet& packet) {
  std::uint8_t* ip = packet.bytes.data();
  write_addresses<Family>(ip, rewrite.source, rewrite.destination, rewrite.address_delta);
  if (parsed.piece.is_later()) return;

  std::uint8_t* transport = ip + parsed.transport;
  switch (parsed.protocol) {
    case protocol::tcp:
      store_be16(transport, rewrite.source_port);
      store_be16(transport + 2, rewrite.destination_port);
      sum_tcp(rewrite, parsed, packet.checksum, transport);
      return;
    case protocol::udp:
      store_be16(transport, rewrite.source_port);
      store_be16(transport + 2, rewrite.destination_port);
      sum_udp(rewrite, parsed, packet.checksum, transport);
      return;
    case Family::icmp_protocol:
      write_icmp(rewrite, parsed, packet.checksum, transport);
      return;
    default:  // protocols without ports, whose sums do not cover addresses
      return;
  }
}

#define SWNAT_INSTANTIATE(Family)                                                          \
  template void write_addresses<Family>(std::uint8_t*, const Family::Address&,             \
                                        const Family::Address&, ChecksumDelta);            \
  template void write_identification(std::uint8_t*, const Parsed<Family>&, std::uint32_t); \
  template void set_deltas(Session<Family>&);                                              \
  template void apply(const Rewrite<Family>&, const Parsed<Family>&, Packet&);
SWNAT_INSTANTIATE(Ipv4)
SWNAT_INSTANTIATE(Ipv6)
#undef SWNAT_INSTANTIATE

}  // namespace swnat
