// The parse gate: it accepts exactly what is whole and what the NAT translates, says what is there,
// and reads nothing beyond.
#include <algorithm>

#include "engine/wire/common_packet.h"
#include "engine/wire/parse.h"
#include "tests/fuzz/anatomy.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace swnat::fuzz {
namespace {

bool is_portless(std::uint8_t protocol) {
  constexpr std::uint8_t numbers[] = {4, 41, 47, 50, 115, 132};
  return std::ranges::find(numbers, protocol) != std::end(numbers);
}

// RFC 791 and 8200, and against RFC 1858 and 3128.
bool is_sound_fragment(const Anatomy& anatomy) {
  if (anatomy.transport_size == 0) return false;
  if (anatomy.more && anatomy.transport_size % 8 != 0) return false;
  const std::size_t before = anatomy.version == 4 ? anatomy.transport : anatomy.transport - 40 - 8;
  if (before + anatomy.fragment_offset + anatomy.transport_size > 65'535) return false;
  std::size_t needed = 0;
  if (anatomy.protocol == number::tcp) needed = 20;
  if (anatomy.protocol == number::udp || anatomy.protocol == number::icmp ||
      anatomy.protocol == number::icmpv6) {
    needed = 8;
  }
  return (anatomy.is_later() ? anatomy.fragment_offset : anatomy.transport_size) >= needed;
}

bool is_whole_transport(View packet, const Anatomy& anatomy, Direction direction) {
  const std::size_t at = anatomy.transport;
  const std::size_t size = anatomy.transport_size;
  if (anatomy.protocol == number::tcp) {
    return size >= 20 && packet[at + 12] >> 4 >= 5 &&
           std::size_t{4} * (packet[at + 12] >> 4) <= size;
  }
  if (anatomy.protocol == number::udp) {
    return size >= 8 && word_at(packet, at + 4) >= 8 &&
           (anatomy.more || word_at(packet, at + 4) <= size);
  }
  if (!anatomy.is_icmp()) return is_portless(anatomy.protocol);
  if (size < 8) return false;
  if (is_icmp_error(packet, anatomy)) return !anatomy.is_fragment();
  if (packet[at + 1] != 0) return false;
  return direction == Direction::inbound ? is_echo_reply(packet, anatomy)
                                         : is_echo_request(packet, anatomy);
}

bool is_acceptable(View packet, Direction direction, int version) {
  const auto anatomy = read(packet);
  if (!anatomy || anatomy->version != version) return false;
  if (anatomy->extensions > 8 || anatomy->fragment_headers > 1 || anatomy->is_source_routed ||
      anatomy->extensions + anatomy->fragment_headers > 8 + (anatomy->is_later() ? 1 : 0)) {
    return false;
  }
  if (anatomy->is_fragment() && !is_sound_fragment(*anatomy)) return false;
  return anatomy->is_later() || is_whole_transport(packet, *anatomy, direction);
}

template <class Family>
void try_family(std::span<std::uint8_t> packet, Direction direction) {
  Parsed<Family> parsed;
  const bool accepts = !parse(packet, direction, parsed);
  require(accepts == is_acceptable(packet, direction, Family::version),
          "the gate accepts what is whole and translatable, and nothing else");
  const bool is_common = swnat::is_common<Family>({.bytes = packet});
  require(accepts || !is_common, "what is common passes the gate");
  if (!accepts) return;
  const Anatomy anatomy = *read(packet);
  require(IpAddress(parsed.source) == anatomy.source &&
              IpAddress(parsed.destination) == anatomy.destination,
          "the gate reads the addresses");
  require(parsed.protocol == anatomy.protocol && parsed.transport_offset == anatomy.transport,
          "the gate finds the transport");
  require(parsed.piece.offset == anatomy.fragment_offset && parsed.piece.more == anatomy.more &&
              parsed.piece.identification == anatomy.identification_is &&
              parsed.identification_offset == anatomy.identification,
          "the gate reads which fragment it is");
  require(parsed.transport_size <= anatomy.transport_size, "the transport lies within the packet");
  if (anatomy.is_later()) return;
  require(parsed.is_icmp_error == is_icmp_error(packet, anatomy), "the gate knows ICMP errors");
  const Ends ends = ends_of(packet, anatomy);
  require(
      parsed.source_port == ends.source.port && parsed.destination_port == ends.destination.port,
      "the gate reads ports and identifiers");
  if (!is_common) return;
  require(parsed.transport_offset == Family::header_min && !anatomy.is_fragment(),
          "what is common has a plain header");
  require(LegWords<Family>::read({.bytes = packet}, false).leg() == parsed.leg_from_inside(),
          "a common packet's ends are read as the gate reads them");
}

}  // namespace
}  // namespace swnat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swnat::fuzz;
  Input input(data, size);
  const auto direction = static_cast<swnat::Direction>(input.byte() % 3);
  Bytes packet = input.bytes(input.size());
  packet.shrink_to_fit();  // so that sanitizers see what is read beyond
  try_family<swnat::Ipv4>(packet, direction);
  try_family<swnat::Ipv6>(packet, direction);
  return 0;
}
