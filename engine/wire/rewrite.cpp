#include "engine/wire/rewrite.h"

namespace swnat {
namespace {

template <class Family>
std::uint64_t pseudo_header_sum(const Parsed<Family>& parsed, const std::uint8_t* ip) {
  if (parsed.protocol == Family::icmp_protocol && !Family::icmp_covers_addresses) return 0;
  typename Family::Address source;
  typename Family::Address destination;
  std::memcpy(&source, ip + Family::source_offset, sizeof source);
  std::memcpy(&destination, ip + Family::destination_offset, sizeof destination);
  return Family::sum(source) + Family::sum(destination) + __builtin_bswap16(parsed.protocol) +
         __builtin_bswap16(parsed.transport_size);
}

}  // namespace

void write_full_sum(std::uint8_t* transport, std::size_t field, std::uint64_t pseudo_header,
                    std::uint16_t size) {
  store_wire(transport + field, std::uint16_t{0});
  const std::uint64_t sum = pseudo_header + sum_of({transport, size});
  store_wire(transport + field, static_cast<std::uint16_t>(~fold(sum)));
}

template <class Family>
void write_unfinished_sum(const Parsed<Family>& parsed, const Packet& packet,
                          ChecksumDelta address_delta) {
  std::uint8_t* ip = packet.bytes.data();
  std::uint8_t* transport = ip + parsed.transport_offset;
  const std::uint64_t pseudo_header = pseudo_header_sum(parsed, ip);
  switch (parsed.protocol) {
    case protocol::tcp:
      write_full_sum(transport, tcp_checksum_offset, pseudo_header, parsed.transport_size);
      return;
    case protocol::udp: {
      std::uint8_t* field = transport + udp_checksum_offset;
      if (packet.checksum == ChecksumState::segmented) {
        // An uninverted sum of the pseudo-header, which has the addresses but not the ports
        // (kernel: udp4_gso_segment, __udp_gso_segment).
        store_wire(field, add(load_wire<std::uint16_t>(field), address_delta));
        return;
      }
      write_full_sum(transport, udp_checksum_offset, pseudo_header, parsed.transport_size);
      avoid_zero(field);
      return;
    }
    default:
      write_full_sum(transport, icmp_checksum_offset, pseudo_header, parsed.transport_size);
  }
}

template <class Family>
void write_identification(std::uint8_t* ip, std::size_t offset, std::uint32_t identification) {
  std::uint8_t* field = ip + offset;
  if constexpr (Family::has_header_checksum) {
    const std::uint16_t before = load_wire<std::uint16_t>(field);
    store_be16(field, static_cast<std::uint16_t>(identification));
    update_field(ip + Family::header_checksum_offset,
                 delta_of(before, load_wire<std::uint16_t>(field)));
  } else {
    store_wire(field, __builtin_bswap32(identification));
  }
}

#define SWNAT_INSTANTIATE(Family)                                                          \
  template void write_unfinished_sum(const Parsed<Family>&, const Packet&, ChecksumDelta); \
  template void write_identification<Family>(std::uint8_t*, std::size_t, std::uint32_t);
SWNAT_INSTANTIATE(Ipv4)
SWNAT_INSTANTIATE(Ipv6)
#undef SWNAT_INSTANTIATE

}  // namespace swnat
