#include <doctest/doctest.h>

#include "rules/address_text.h"
#include "rules/fwmark_table.h"

namespace swnat::rules {
namespace {

IpAddress address(std::string_view text) {
  return parse_address(text).value();
}

IpNetwork network(std::string_view text) {
  return parse_network(text).value();
}

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
  CHECK(to_text(network("10.0.0.0/8")) == "10.0.0.0/8");
  CHECK(to_text(network("10.0.0.1/31")) == "10.0.0.0/31");
  CHECK(to_text(network("255.255.255.255/0")) == "0.0.0.0/0");
  CHECK(to_text(network("2001:db8::ffff/127")) == "2001:db8::fffe/127");
  CHECK(to_text(network("ffff::/3")) == "e000::/3");
  CHECK(to_text(network_of(address("2001:db8::1"))) == "2001:db8::1/128");
  CHECK(to_text(network_of(address("10.0.0.1"))) == "10.0.0.1/32");
  for (const char* wrong : {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/256", "/8",
                            "fd00::/129", "fd00::/-1", "10.0.0.0/8/8"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_network(wrong));
  }
}

TEST_CASE("networks contain and overlap") {
  CHECK(contains(network("10.0.0.0/24"), address("10.0.0.255")));
  CHECK_FALSE(contains(network("10.0.0.0/24"), address("10.0.1.0")));
  CHECK(contains(network("0.0.0.0/0"), address("255.255.255.255")));
  CHECK(contains(network("10.0.0.1/32"), address("10.0.0.1")));
  CHECK(contains(network("fd00::/63"), address("fd00:0:0:1::")));
  CHECK_FALSE(contains(network("fd00::/63"), address("fd00:0:0:2::")));
  CHECK_FALSE(contains(network("0.0.0.0/0"), address("fd00::1")));
  CHECK_FALSE(contains(network("::/0"), address("10.0.0.1")));
  CHECK(overlap(network("10.0.0.0/8"), network("10.9.0.0/16")));
  CHECK(overlap(network("10.9.0.0/16"), network("10.0.0.0/8")));
  CHECK_FALSE(overlap(network("10.0.0.0/24"), network("10.0.1.0/24")));
  CHECK(overlap(network("fd00:0:0:1::/64"), network("fd00::/48")));
  CHECK_FALSE(overlap(network("fd00::/48"), network("0.0.0.0/0")));
}

TEST_CASE("each fwmark has a route table of its own") {
  CHECK(route_table(1, 0xffff) == 0x5300'0001);
  CHECK(route_table(0xffff, 0xffff) == 0x5300'ffff);
  CHECK(route_table(0x10000, 0xffff0000) == 0x5300'0001);
  CHECK(route_table(0x8000'0000, 0x8000'0000) == 0x5300'0001);
  // A mask with a gap still gives every fwmark its own.
  CHECK(route_table(0x100, 0x10f) != route_table(0x1, 0x10f));
  CHECK(route_table(0x2cff'ffff, 0xffff'ffff) == 0x7fff'ffff);
  CHECK_FALSE(route_table(0x2d00'0000, 0xffff'ffff));
  CHECK(largest_routed_fwmark(0xffff'ffff) == 0x2cff'ffff);
  CHECK(largest_routed_fwmark(0xffff) == 0xffff);
}

}  // namespace
}  // namespace swnat::rules
