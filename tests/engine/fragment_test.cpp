#include "engine/wire/fragment.h"

#include <doctest/doctest.h>

#include <string>

using namespace swnat;

namespace {

constexpr std::uint8_t icmpv6 = 58;
constexpr std::uint8_t gre = 47;

struct Case {
  const char* name;
  Fragment fragment;
  bool is_sound;
};

constexpr Case cases[] = {
    {"first of TCP, the header and no more", {20, 0, 24, true, protocol::tcp}, true},
    {"first of TCP, tiny (RFC 1858 section 3)", {20, 0, 16, true, protocol::tcp}, false},
    {"first of TCP, one group", {20, 0, 8, true, protocol::tcp}, false},
    {"first of UDP, the header and no more", {20, 0, 8, true, protocol::udp}, true},
    {"whole UDP datagram, header cut", {20, 0, 7, false, protocol::udp}, false},
    {"first of ICMP", {20, 0, 8, true, protocol::icmp}, true},
    {"first of ICMPv6", {8, 0, 8, true, icmpv6}, true},
    {"whole ICMPv6 datagram, header cut", {8, 0, 7, false, icmpv6}, false},
    {"whole TCP datagram of odd size", {20, 0, 21, false, protocol::tcp}, true},
    {"whole TCP datagram, header cut", {20, 0, 19, false, protocol::tcp}, false},
    {"first of a protocol that is not looked into", {20, 0, 8, true, gre}, true},
    {"later of TCP at 8 (RFC 3128)", {20, 8, 100, false, protocol::tcp}, false},
    {"later of TCP at 16", {20, 16, 1000, true, protocol::tcp}, false},
    {"later of TCP behind the header", {20, 24, 100, false, protocol::tcp}, true},
    {"later of UDP at 8", {20, 8, 100, false, protocol::udp}, true},
    {"later of a protocol that is not looked into", {20, 8, 100, false, gre}, true},
    {"in the middle, of odd size", {20, 1480, 1479, true, protocol::udp}, false},
    {"in the middle", {20, 1480, 1480, true, protocol::udp}, true},
    {"last, of odd size", {20, 1480, 1, false, protocol::udp}, true},
    {"empty first", {20, 0, 0, true, gre}, false},
    {"empty later", {20, 1480, 0, true, protocol::udp}, false},
    {"empty last", {20, 1480, 0, false, protocol::udp}, false},
    {"up to the greatest length", {20, 65'512, 3, false, protocol::udp}, true},
    {"beyond it by one (ping of death)", {20, 65'512, 4, false, protocol::udp}, false},
    {"beyond it by the header's options", {60, 65'512, 3, false, protocol::udp}, false},
    {"greatest offset, greatest size", {60, 65'528, 65'528, true, protocol::udp}, false},
};

}  // namespace

TEST_CASE("fragment: soundness of") {
  for (const Case& c : cases) {
    INFO(std::string(c.name));
    CHECK_EQ(is_sound(c.fragment), c.is_sound);
  }
}

TEST_CASE("fragment: no byte of a transport header comes from a later fragment") {
  for (const std::uint8_t number : {protocol::tcp, protocol::udp, protocol::icmp, icmpv6}) {
    for (std::uint32_t first = 0; first < 80; first += 8) {
      for (std::uint32_t offset = 8; offset < 80; offset += 8) {
        if (!is_sound({20, 0, first, true, number})) continue;
        if (!is_sound({20, offset, 8, false, number})) continue;
        CHECK_GE(first, first_fragment_min(number));
        CHECK_GE(offset, first_fragment_min(number));
      }
    }
  }
}
