// NAT-PMP's messages, octet by octet (RFC 6886 section 3).
#include "tools/pcp/natpmp_message.h"

#include <doctest/doctest.h>

#include "tests/pcp/messages.h"

using namespace swnat;
using namespace swnat::pcp;
using namespace swnat::test;
using std::chrono::seconds;

TEST_CASE("nat-pmp: requests are read") {
  const auto map = read_natpmp_request(octets("00 02 0000 0050 1f90 00000e10"));
  REQUIRE(map.has_value());
  CHECK_EQ(map->opcode, natpmp_opcode::map_tcp);
  CHECK_EQ(map->internal_port, 80);
  CHECK_EQ(map->external_port, 8080);
  CHECK_EQ(map->lifetime, seconds(3600));
  CHECK_EQ(read_natpmp_request(octets("00 00"))->opcode, natpmp_opcode::address);
  CHECK_EQ(read_natpmp_request(octets("00 09 1234"))->opcode, 9);
}

TEST_CASE("nat-pmp: what is no request is not answered") {
  CHECK_FALSE(read_natpmp_request(octets("")).has_value());
  CHECK_FALSE(read_natpmp_request(octets("00")).has_value());
  CHECK_FALSE(read_natpmp_request(octets("00 80 0000 00000001 cb007101")).has_value());
  CHECK_FALSE(read_natpmp_request(octets("00 01 0000 0050 1f90 000e10")).has_value());
}

TEST_CASE("nat-pmp: responses are as the RFC draws them") {
  CHECK_EQ(natpmp_address_response(NatPmpResult::success, Ipv4Address::of(203, 0, 113, 1), 7),
           octets("00 80 0000 00000007 cb007101"));
  const auto request = *read_natpmp_request(octets("00 01 0000 0050 1f90 00000e10"));
  CHECK_EQ(natpmp_map_response(request, NatPmpResult::success, 40000, seconds(120), 7),
           octets("00 81 0000 00000007 0050 9c40 00000078"));
  CHECK_EQ(natpmp_map_response(request, NatPmpResult::out_of_resources, 0, seconds(0), 7),
           octets("00 81 0004 00000007 0050 0000 00000000"));
  CHECK_EQ(natpmp_error_response(9, NatPmpResult::unsupported_opcode, 7),
           octets("00 89 0005 00000007"));
}
