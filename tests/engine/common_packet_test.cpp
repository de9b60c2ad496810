#include "engine/wire/common_packet.h"

#include <doctest/doctest.h>

#include <string>

#include "engine/wire/parse.h"
#include "tests/support/dice.h"
#include "tests/support/packets6.h"

using namespace swnat;
using namespace swnat::test;

namespace {

const Peer host4{Ipv4Address::of(10, 0, 0, 2), 40'000};
const Peer remote4{Ipv4Address::of(198, 51, 100, 7), 53};
const Peer6 host6_end{host6({0xfd00, 0, 0, 0, 0, 0, 0, 2}), 40'000};
const Peer6 remote6_end{host6({0x2001, 0xdb8, 0, 7, 0, 0, 0, 0x35}), 53};

template <class Family>
bool is_common(Bytes packet) {
  packet.shrink_to_fit();  // so that a sanitizer sees a read beyond
  return swnat::is_common<Family>(Packet{.bytes = packet});
}

// What is common passes the gate, which finds the same in it.
template <class Family>
void check_against_gate(Bytes bytes) {
  bytes.shrink_to_fit();
  const Packet packet{.bytes = bytes};
  if (!swnat::is_common<Family>(packet)) return;
  for (const Direction direction : {Direction::outbound, Direction::inbound}) {
    Parsed<Family> parsed;
    REQUIRE_FALSE(parse(packet.bytes, direction, parsed).has_value());
    REQUIRE_FALSE(parsed.piece.is_fragment());
    REQUIRE_EQ(parsed.transport_offset, Family::header_min);
    REQUIRE_EQ(parsed.protocol, common_protocol<Family>(packet));
    const bool is_inbound = direction == Direction::inbound;
    const LegWords<Family> words = LegWords<Family>::read(packet, is_inbound);
    const Leg<Family> leg = is_inbound ? parsed.leg_from_outside() : parsed.leg_from_inside();
    REQUIRE(words.leg() == leg);
    REQUIRE(LegWords<Family>::of(leg) == words);
  }
}

template <class Family>
void check_damaged(const Bytes& whole) {
  Dice random(7);
  for (int i = 0; i < 20'000; ++i) {
    Bytes packet = whole;
    // The lengths, the kind and the ports are in the first bytes.
    for (std::uint32_t changes = 1 + random.below(3); changes != 0; --changes) {
      packet[random.below(static_cast<std::uint32_t>(packet.size()))] =
          static_cast<std::uint8_t>(random());
    }
    if (random.one_in(4)) packet.resize(random.below(static_cast<std::uint32_t>(packet.size())));
    check_against_gate<Family>(packet);
  }
}

}  // namespace

TEST_CASE("common_packet: whole TCP and UDP behind plain IP headers, and nothing else") {
  CHECK(is_common<Ipv4>(udp(host4, remote4)));
  CHECK(is_common<Ipv4>(tcp(host4, remote4, {.options = {2, 4, 5, 0xb4}}, payload_of(9))));
  CHECK(is_common<Ipv6>(udp(host6_end, remote6_end, payload_of(5))));
  CHECK(is_common<Ipv6>(tcp(host6_end, remote6_end)));

  CHECK_FALSE(is_common<Ipv4>(Bytes{}));
  CHECK_FALSE(is_common<Ipv6>(Bytes{}));
  CHECK_FALSE(is_common<Ipv6>(udp(host4, remote4, payload_of(40))));
  CHECK_FALSE(is_common<Ipv4>(udp(host6_end, remote6_end, payload_of(40))));
  CHECK_FALSE(is_common<Ipv4>(echo_request(host4, remote4.address, payload_of(20))));
  CHECK_FALSE(is_common<Ipv4>(udp(host4, remote4, payload_of(20), {.options = {1, 1, 1, 1}})));
  CHECK_FALSE(is_common<Ipv4>(udp(host4, remote4, payload_of(16), {.fragment = 0x2000})));
  CHECK_FALSE(is_common<Ipv4>(udp(host4, remote4, payload_of(16), {.fragment = 0x0001})));
  CHECK_FALSE(is_common<Ipv6>(udp(host6_end, remote6_end, payload_of(9), {hop_by_hop()})));
  CHECK_FALSE(is_common<Ipv6>(udp(host6_end, remote6_end, payload_of(9), {atomic_fragment(9)})));
}

TEST_CASE("common_packet: every length that is cut short is left to the gate") {
  const auto cut = [](auto family, const Bytes& whole) {
    using Family = decltype(family);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CHECK_FALSE(is_common<Family>(Bytes(whole.begin(), whole.begin() + static_cast<long>(size))));
    }
  };
  cut(Ipv4{}, udp(host4, remote4, payload_of(3)));
  cut(Ipv4{}, tcp(host4, remote4));
  cut(Ipv6{}, udp(host6_end, remote6_end, payload_of(3)));
  cut(Ipv6{}, tcp(host6_end, remote6_end));
}

TEST_CASE("common_packet: what is common passes the gate with the same ends, however damaged") {
  check_damaged<Ipv4>(udp(host4, remote4, payload_of(12)));
  check_damaged<Ipv4>(tcp(host4, remote4, {.options = {2, 4, 5, 0xb4}}, payload_of(8)));
  check_damaged<Ipv6>(udp(host6_end, remote6_end, payload_of(12)));
  check_damaged<Ipv6>(tcp(host6_end, remote6_end, {}, payload_of(8)));
}

TEST_CASE("common_packet: a leg is written where it is read, and nothing else is changed") {
  const auto swap_ends = [](auto family, const Bytes& whole, const Bytes& swapped,
                            std::size_t transport) {
    using Family = decltype(family);
    for (const bool from : {false, true}) {
      Bytes bytes = whole;
      const Packet packet{.bytes = bytes};
      LegWords<Family>::read(packet, from).write(packet, !from);
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        CAPTURE(i);
        const bool is_end = (i >= Family::source_offset && i < Family::header_min) ||
                            (i >= transport && i < transport + 4);
        CHECK_EQ(int{bytes[i]}, int{(is_end ? swapped : whole)[i]});
      }
    }
  };
  swap_ends(Ipv4{}, udp(host4, remote4), udp(remote4, host4), 20);
  swap_ends(Ipv6{}, tcp(host6_end, remote6_end), tcp(remote6_end, host6_end), 40);
}
