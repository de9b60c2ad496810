#include "rules/config/networks.h"

#include <doctest/doctest.h>

#include "rules/config/fwmark_table.h"

namespace swnat::rules {
namespace {

IpAddress address(std::string_view text) {
  return parse_address(text).value();
}

IpNetwork network(std::string_view text) {
  return parse_network(text).value();
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
