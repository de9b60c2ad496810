#include "engine/rewrite.h"

#include "engine/bytes.h"
#include "engine/checksum.h"
#include "engine/headers.h"

namespace swnat {
namespace {

std::uint64_t pseudo_header_sum(const Rewrite& rewrite, const Parsed<Ipv4>& parsed) {
  return Ipv4::sum(rewrite.source) + Ipv4::sum(rewrite.destination) +
         __builtin_bswap16(parsed.protocol) + __builtin_bswap16(parsed.transport_size);
}

// RFC 768: a sum of zero is sent as all ones, because zero means that there is none.
void avoid_zero(std::uint8_t* field) {
  if (load_wire<std::uint16_t>(field) == 0) store_wire(field, std::uint16_t{0xffff});
}

void sum_tcp(const Rewrite& rewrite, const Parsed<Ipv4>& parsed, ChecksumState state,
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

void sum_udp(const Rewrite& rewrite, const Parsed<Ipv4>& parsed, ChecksumState state,
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

void write_icmp(const Rewrite& rewrite, const Parsed<Ipv4>& parsed, ChecksumState state,
                std::uint8_t* transport) {
  // The identifier is the local port; the remote one is 0.
  const auto identifier =
      static_cast<std::uint16_t>(rewrite.source_port | rewrite.destination_port);
  store_be16(transport + icmp_identifier_offset, identifier);
  if (state == ChecksumState::complete) {
    update_field(transport + icmp_checksum_offset, rewrite.transport_delta);
  } else {
    write_full_sum(transport, icmp_checksum_offset, 0, parsed.transport_size);
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

void write_addresses(std::uint8_t* ip, Ipv4Address source, Ipv4Address destination,
                     ChecksumDelta delta) {
  store_wire(ip + Ipv4::source_offset, source.wire);
  store_wire(ip + Ipv4::destination_offset, destination.wire);
  update_field(ip + Ipv4::header_checksum_offset, delta);
}

void set_deltas(Session<Ipv4>& session) {
  const Leg<Ipv4>& in = session.inside;
  const Leg<Ipv4>& out = session.outside;
  const std::uint64_t addresses_in = Ipv4::sum(in.local) + Ipv4::sum(in.remote);
  const std::uint64_t addresses_out = Ipv4::sum(out.local) + Ipv4::sum(out.remote);
  const std::uint64_t ports_in =
      std::uint64_t{__builtin_bswap16(in.local_port)} + __builtin_bswap16(in.remote_port);
  const std::uint64_t ports_out =
      std::uint64_t{__builtin_bswap16(out.local_port)} + __builtin_bswap16(out.remote_port);
  session.address_delta = delta_of(addresses_in, addresses_out);
  const bool icmp = session.protocol == protocol::icmp;
  session.transport_delta = icmp ? delta_of(ports_in, ports_out)
                                 : delta_of(addresses_in + ports_in, addresses_out + ports_out);
}

void apply(const Rewrite& rewrite, const Parsed<Ipv4>& parsed, Packet& packet) {
  std::uint8_t* ip = packet.bytes.data();
  write_addresses(ip, rewrite.source, rewrite.destination, rewrite.address_delta);

  std::uint8_t* transport = ip + parsed.transport;
  if (parsed.protocol == protocol::icmp) {
    write_icmp(rewrite, parsed, packet.checksum, transport);
    return;
  }
  store_be16(transport, rewrite.source_port);
  store_be16(transport + 2, rewrite.destination_port);
  if (parsed.protocol == protocol::tcp) {
    sum_tcp(rewrite, parsed, packet.checksum, transport);
  } else {
    sum_udp(rewrite, parsed, packet.checksum, transport);
  }
}

}  // namespace swnat
