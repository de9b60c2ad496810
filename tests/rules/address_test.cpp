#include <doctest/doctest.h>

#include "rules/address_text.h"
#include "rules/fwmark_table.h"

namespace swnat::rules {
namespace {

Subnet subnet(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint8_t length) {
  return {Ipv4Address::of(a, b, c, d), length};
}

TEST_CASE("addresses are read and written") {
  CHECK(parse_ipv4("10.0.0.2") == Ipv4Address::of(10, 0, 0, 2));
  CHECK(to_text(Ipv4Address::of(203, 0, 113, 255)) == "203.0.113.255");
  CHECK(to_text(subnet(10, 0, 0, 0, 8)) == "10.0.0.0/8");
  for (const char* wrong :
       {"", "10.0.0", "10.0.0.256", "10.0.0.2 ", "010.0.0.2", "0x0a.0.0.2", "a"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_ipv4(wrong));
  }
  using namespace std::string_view_literals;
  CHECK_FALSE(parse_ipv4("10.0.0.2\0"sv));
}

TEST_CASE("subnets contain and overlap") {
  CHECK(contains(subnet(10, 0, 0, 0, 24), Ipv4Address::of(10, 0, 0, 255)));
  CHECK_FALSE(contains(subnet(10, 0, 0, 0, 24), Ipv4Address::of(10, 0, 1, 0)));
  CHECK(contains(subnet(0, 0, 0, 0, 0), Ipv4Address::of(255, 255, 255, 255)));
  CHECK(contains(subnet(10, 0, 0, 1, 32), Ipv4Address::of(10, 0, 0, 1)));
  CHECK(overlap(subnet(10, 0, 0, 0, 8), subnet(10, 9, 0, 0, 16)));
  CHECK(overlap(subnet(10, 9, 0, 0, 16), subnet(10, 0, 0, 0, 8)));
  CHECK_FALSE(overlap(subnet(10, 0, 0, 0, 24), subnet(10, 0, 1, 0, 24)));
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
