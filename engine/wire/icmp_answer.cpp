#include "swnat/icmp_answer.h"

#include <algorithm>
#include <cstring>

#include "engine/base/bytes.h"
#include "engine/wire/checksum.h"
#include "engine/wire/family.h"
#include "engine/wire/parse.h"

namespace swnat {
namespace {

constexpr std::uint8_t time_to_live = 64;
constexpr std::uint8_t internetwork_control = 0xc0;  // RFC 1812 section 4.3.2.5

void store_checksum(std::uint8_t* field, std::uint64_t sum) {
  store_wire(field, static_cast<std::uint16_t>(~fold(sum)));
}

// Lengths are of all that is behind the header. Atomic (RFC 6864): it needs no identification.
void write_header(std::uint8_t* ip, Ipv4Address source, Ipv4Address destination, std::size_t size) {
  std::memset(ip, 0, ipv4_header_min);
  ip[0] = 0x45;
  ip[1] = internetwork_control;
  store_be16(ip + 2, static_cast<std::uint16_t>(ipv4_header_min + size));
  store_be16(ip + 6, ipv4_dont_fragment);
  ip[8] = time_to_live;
  ip[9] = protocol::icmp;
  store_wire(ip + Ipv4::source_offset, source.wire);
  store_wire(ip + Ipv4::destination_offset, destination.wire);
  store_checksum(ip + Ipv4::header_checksum_offset, sum_of({ip, ipv4_header_min}));
}

void write_header(std::uint8_t* ip, const Ipv6Address& source, const Ipv6Address& destination,
                  std::size_t size) {
  std::memset(ip, 0, ipv6_header_size);
  ip[0] = 0x60;
  store_be16(ip + 4, static_cast<std::uint16_t>(size));
  ip[6] = protocol::icmpv6;
  ip[7] = time_to_live;
  store_wire(ip + Ipv6::source_offset, source.wire);
  store_wire(ip + Ipv6::destination_offset, destination.wire);
}

template <class Family>
std::size_t write(std::span<const std::uint8_t> packet, const typename Family::Address& source,
                  std::span<std::uint8_t> answer) {
  constexpr bool is_v4 = Family::version == 4;
  constexpr std::size_t header_size = is_v4 ? ipv4_header_min : ipv6_header_size;
  // The gate lets no ICMP out but errors and echo requests.
  Parsed<Family> parsed;
  if (parse(packet, Direction::outbound, parsed) || parsed.is_icmp_error ||
      parsed.piece.is_later() || !Family::is_host(parsed.source) ||
      !Family::is_host(parsed.destination)) {
    return 0;
  }
  const std::size_t length = is_v4 ? load_be16(&packet[2]) : header_size + load_be16(&packet[4]);
  const std::size_t quoted = std::min(length, answer.size() - header_size - icmp_header_size);
  const std::size_t size = icmp_header_size + quoted;

  write_header(answer.data(), source, parsed.source, size);
  const auto icmp = answer.subspan(header_size, size);
  std::memset(icmp.data(), 0, icmp_header_size);
  icmp[0] = is_v4 ? icmp_type::unreachable : icmpv6_type::unreachable;
  icmp[1] = is_v4 ? icmp_code::prohibited : icmpv6_code::prohibited;
  std::memcpy(&icmp[icmp_header_size], packet.data(), quoted);
  std::uint64_t sum = sum_of(icmp);
  if (Family::icmp_covers_addresses) {
    sum += Family::sum(source) + Family::sum(parsed.source) +
           __builtin_bswap16(Family::icmp_protocol) +
           __builtin_bswap16(static_cast<std::uint16_t>(size));
  }
  store_checksum(&icmp[icmp_checksum_offset], sum);
  return header_size + size;
}

}  // namespace

std::size_t write_icmp_answer(std::span<const std::uint8_t> packet, Ipv4Address source,
                              std::span<std::uint8_t, ipv4_answer_max> answer) {
  return write<Ipv4>(packet, source, answer);
}

std::size_t write_icmp_answer(std::span<const std::uint8_t> packet, const Ipv6Address& source,
                              std::span<std::uint8_t, ipv6_answer_max> answer) {
  return write<Ipv6>(packet, source, answer);
}

}  // namespace swnat
