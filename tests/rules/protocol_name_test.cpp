#include "rules/text/protocol_name.h"

#include <doctest/doctest.h>

namespace swnat::rules {
namespace {

TEST_CASE("protocol names: each leads to a number, and back") {
  for (const std::string_view name : protocol_names()) {
    CAPTURE(name);
    const auto number = protocol_number(name);
    REQUIRE(number);
    CHECK(!protocol_name(*number).empty());
    CHECK_EQ(protocol_number(protocol_name(*number)), number);
  }
  CHECK_EQ(protocol_number("icmp6"), 58);
  CHECK_EQ(protocol_name(58), "icmpv6");
}

TEST_CASE("protocol names: others are numbers, or nothing") {
  CHECK_EQ(protocol_number("253"), 253);
  for (const char* wrong : {"", "tpc", "256", "-1", "6 ", "TCP"}) {
    CHECK_FALSE(protocol_number(wrong));
  }
}

}  // namespace
}  // namespace swnat::rules
