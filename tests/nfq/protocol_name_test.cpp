#include "nfq/protocol_name.h"

#include <doctest/doctest.h>

using namespace swnat::nfq;

TEST_CASE("protocols have the names that people know") {
  CHECK_EQ(protocol_name(1), "icmp");
  CHECK_EQ(protocol_name(6), "tcp");
  CHECK_EQ(protocol_name(17), "udp");
  CHECK_EQ(protocol_name(58), "icmpv6");
  CHECK_EQ(protocol_name(47), "gre");
  CHECK_EQ(protocol_name(50), "esp");
  CHECK_EQ(protocol_name(132), "sctp");
  CHECK_EQ(protocol_name(0), "0");
  CHECK_EQ(protocol_name(253), "253");
}

TEST_CASE("some protocols have ports or ids") {
  for (const int number : {1, 6, 17, 58})
    CHECK(has_ports_or_ids(static_cast<std::uint8_t>(number)));
  for (const int number : {0, 47, 50, 132})
    CHECK_FALSE(has_ports_or_ids(static_cast<std::uint8_t>(number)));
}

TEST_CASE("whoever is asked by an echo has no port") {
  for (const int number : {6, 17}) CHECK(has_ports(static_cast<std::uint8_t>(number)));
  for (const int number : {0, 1, 47, 58}) CHECK_FALSE(has_ports(static_cast<std::uint8_t>(number)));
}
