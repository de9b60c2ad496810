#include "swnat/address_text.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include "tests/support/dice.h"

using namespace swnat;
using namespace swnat::test;

namespace {

IpAddress address(std::string_view text) {
  return parse_address(text).value();
}

// What the C library writes, which people and the kernel's tools are used to.
std::string usual_text(const Ipv6Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET6, &address, text, sizeof text);
  return text;
}

bool usually_is_address(const std::string& text) {
  in6_addr any{};
  return ::inet_pton(AF_INET, text.c_str(), &any) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), &any) == 1;
}

}  // namespace

TEST_CASE("addresses are read and written") {
  CHECK(parse_address("10.0.0.2") == IpAddress{Ipv4Address::of(10, 0, 0, 2)});
  CHECK(to_text(Ipv4Address::of(203, 0, 113, 255)) == "203.0.113.255");
  const Ipv6Address v6 = Ipv6Address::of({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  CHECK(parse_address("2001:DB8:0::1") == IpAddress{v6});
  CHECK(to_text(v6) == "2001:db8::1");
  for (const char* wrong : {"", "10.0.0", "10.0.0.256", "10.0.0.2 ", "010.0.0.2", "0x0a.0.0.2", "a",
                            ":", "1:2:3", "[::1]", "fe80::1%eth0", "1::2::3", "10.0.0.2/32"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_address(wrong));
  }
  using namespace std::string_view_literals;
  CHECK_FALSE(parse_address("10.0.0.2\0"sv));
}

TEST_CASE("endpoints are read and written") {
  CHECK(parse_endpoint("10.0.0.2:80") == IpEndpoint{Ipv4Address::of(10, 0, 0, 2), 80});
  CHECK(parse_endpoint("[2001:db8::1]:65535") == IpEndpoint{address("2001:db8::1"), 65'535});
  CHECK(to_text(IpEndpoint{address("203.0.113.1"), 80}) == "203.0.113.1:80");
  CHECK(to_text(IpEndpoint{address("2001:db8::1"), 80}) == "[2001:db8::1]:80");
  for (const char* wrong : {"", "10.0.0.2", "10.0.0.2:", ":80", "10.0.0.2:0", "10.0.0.2:65536",
                            "10.0.0.2:+80", "10.0.0.2: 80", "[10.0.0.2]:80", "2001:db8::1:80",
                            "[2001:db8::1]", "[2001:db8::1]80", "[fe80::1%eth0]:80", "[]:80"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_endpoint(wrong));
  }
}

TEST_CASE("networks are read and written") {
  const auto masked = [](std::string_view text) { return to_text(parse_network(text).value()); };
  CHECK_EQ(masked("10.0.0.1/31"), "10.0.0.0/31");
  CHECK_EQ(masked("2001:db8::ffff/127"), "2001:db8::fffe/127");
  CHECK_EQ(masked("255.255.255.255/0"), "0.0.0.0/0");
  CHECK_FALSE(parse_network("10.0.0.0/33"));
}

TEST_CASE("IPv6 is written as the C library does, and read back") {
  Dice random(6);
  for (int i = 0; i < 20'000; ++i) {
    std::array<std::uint8_t, 16> octets{};
    for (std::size_t group = 0; group < 8; ++group) {
      if (random.below(3) == 0) continue;
      if (random.below(2) == 0) octets[2 * group] = static_cast<std::uint8_t>(random.below(256));
      octets[2 * group + 1] = static_cast<std::uint8_t>(random.below(256));
      if (random.below(6) == 0) octets[2 * group] = octets[2 * group + 1] = 0xff;
    }
    const Ipv6Address one = Ipv6Address::of(octets);
    CHECK_EQ(to_text(one), usual_text(one));
    CHECK(parse_address(to_text(one)) == IpAddress{one});
  }
}

TEST_CASE("what the C library takes for an address is one, and nothing else is") {
  const std::string letters = "0012af:::..%/ ";
  Dice random(7);
  int taken = 0;
  for (int i = 0; i < 300'000; ++i) {
    std::string text = random.below(2) == 0 ? "1:2:3::7:8" : "1::10.0.1.2";
    for (std::uint32_t change = 0; change <= random.below(5); ++change) {
      const std::size_t at = random.below(static_cast<std::uint32_t>(text.size()));
      const char letter = letters[random.below(static_cast<std::uint32_t>(letters.size()))];
      if (random.below(3) == 0) {
        text.erase(at, 1);
      } else if (random.below(2) == 0) {
        text.insert(at, 1, letter);
      } else {
        text[at] = letter;
      }
      if (text.empty()) break;
    }
    const bool is_address = parse_address(text).has_value();
    taken += is_address;
    INFO(text);
    REQUIRE_EQ(is_address, usually_is_address(text));
  }
  CHECK_GT(taken, 1000);
}
