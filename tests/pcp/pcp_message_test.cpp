// PCP's messages, octet by octet (RFC 6887 sections 7, 11, 12 and 13).
#include "tools/pcp/pcp_message.h"

#include <doctest/doctest.h>

#include "tests/pcp/messages.h"

using namespace swnat;
using namespace swnat::pcp;
using namespace swnat::test;
using std::chrono::seconds;

namespace {

const IpAddress client = address("10.0.0.2");

Result result_of(const Octets& message) {
  const ReadRequest read = read_request(message, client);
  CHECK_FALSE(read.is_ignored);
  return read.result;
}

}  // namespace

TEST_CASE("pcp: a MAP request is read") {
  const Octets suggested =
      joined({nonce, octets("06 000000 0050 1f90 00000000 00000000 0000ffff cb007101")});
  const ReadRequest read = read_request(joined({header_of_map, suggested}), client);
  CHECK_EQ(read.result, Result::success);
  const Request& request = read.request;
  CHECK_EQ(request.opcode, Opcode::map);
  CHECK_EQ(request.lifetime, seconds(3600));
  CHECK_EQ(to_text(request.client), "10.0.0.2");
  CHECK_EQ(to_hex(request.nonce), "000102030405060708090a0b");
  CHECK_EQ(request.protocol, 6);
  CHECK_EQ(request.internal_port, 80);
  CHECK_EQ(to_text(request.suggested), "203.0.113.1:8080");
  CHECK_FALSE(request.prefers_failure);
}

TEST_CASE("pcp: a PEER request is read") {
  const ReadRequest read = read_request(joined({header_of_peer, peer_udp_5000}), client);
  CHECK_EQ(read.result, Result::success);
  CHECK_EQ(read.request.opcode, Opcode::peer);
  CHECK_EQ(read.request.internal_port, 5000);
  CHECK_EQ(to_text(read.request.remote), "198.51.100.7:7000");
  CHECK(is_unspecified(read.request.suggested.address));
}

TEST_CASE("pcp: a client of IPv6 is read") {
  const Octets header = octets("02 01 0000 00000078 fd000000 00000000 00000000 00000002");
  const Octets any =
      joined({nonce, octets("06 000000 0050 0000 00000000 00000000 00000000 00000000")});
  const ReadRequest read = read_request(joined({header, any}), address("fd00::2"));
  CHECK_EQ(read.result, Result::success);
  CHECK(read.request.client == address("fd00::2"));
  CHECK(is_unspecified(read.request.suggested.address));
}

TEST_CASE("pcp: what is no request is not answered") {
  CHECK(read_request({}, client).is_ignored);
  CHECK(read_request(octets("02"), client).is_ignored);
  CHECK(read_request(octets("02 81 0000"), client).is_ignored);
  CHECK(read_request(octets("01 80"), client).is_ignored);
}

TEST_CASE("pcp: other versions, whatever they have, are answered with ours") {
  CHECK_EQ(result_of(octets("01 01")), Result::unsupp_version);
  CHECK_EQ(result_of(octets("03 7f 0000 01")), Result::unsupp_version);
}

TEST_CASE("pcp: sizes that no request has are malformed") {
  const Octets map = joined({header_of_map, map_udp_5000});
  CHECK_EQ(result_of(map), Result::success);
  for (std::size_t size = 2; size < map.size(); ++size) {
    CAPTURE(size);
    CHECK_EQ(result_of({map.begin(), map.begin() + std::ptrdiff_t(size)}),
             Result::malformed_request);
  }
  Octets peer = joined({header_of_peer, peer_udp_5000});
  peer.resize(peer.size() - 4);
  CHECK_EQ(result_of(peer), Result::malformed_request);
  // The longest: what fills it is an optional option, and padding is no other one.
  Octets longest = joined({map, octets("ff 00 0400")});
  longest.resize(60 + 4 + 1024);
  CHECK_EQ(result_of(longest), Result::success);
  longest.resize(longest_message);
  CHECK_EQ(result_of(longest), Result::unsupp_option);
  longest.resize(longest_message + 4);
  CHECK_EQ(result_of(longest), Result::malformed_request);
}

TEST_CASE("pcp: opcodes, addresses and options that are not served are named") {
  CHECK_EQ(result_of(octets("02 03 0000 00000000 00000000 00000000 0000ffff 0a000002")),
           Result::unsupp_opcode);
  const Octets map = joined({header_of_map, map_udp_5000});
  CHECK_EQ(read_request(map, address("10.0.0.3")).result, Result::address_mismatch);
  CHECK_EQ(read_request(map, address("::ffff:10.0.0.2")).result, Result::address_mismatch);
  const auto with = [&](const char* option) { return result_of(joined({map, octets(option)})); };
  // THIRD_PARTY for another host, FILTER, and one that only later standards have.
  CHECK_EQ(with("01 00 0010 00000000 00000000 0000ffff 0a000009"), Result::unsupp_option);
  CHECK_EQ(with("03 00 0014 00 80 0000 00000000 00000000 0000ffff c6336407"),
           Result::unsupp_option);
  CHECK_EQ(with("7f 00 0000"), Result::unsupp_option);
  CHECK_EQ(with("80 00 0000"), Result::success);
  CHECK_EQ(with("80 00 0001 aa000000"), Result::success);
}

TEST_CASE("pcp: options that go beyond the message, or are not as they must be, are malformed") {
  const Octets map = joined({header_of_map, map_udp_5000});
  const auto with = [&](const char* option) { return result_of(joined({map, octets(option)})); };
  CHECK_EQ(with("80 00 0004"), Result::malformed_option);
  CHECK_EQ(with("80 00 0005 00000000"), Result::malformed_option);
  CHECK_EQ(with("80 00 ffff 00000000"), Result::malformed_option);
  CHECK_EQ(with("02 00 0000"), Result::success);
  CHECK_EQ(with("02 00 0004 00000000"), Result::malformed_option);
  CHECK_EQ(with("02 00 0000 02 00 0000"), Result::malformed_option);
  CHECK_EQ(with("80 00 0000 02 00 0000 01 00 0000"), Result::unsupp_option);
  CHECK_EQ(result_of(joined({header_of_announce, octets("02 00 0000")})), Result::malformed_option);
}

TEST_CASE("pcp: responses are as the RFC draws them") {
  ReadRequest read =
      read_request(joined({header_of_map, map_udp_5000, octets("02 00 0000")}), client);
  CHECK_EQ(map_response(read.request, endpoint("203.0.113.1:40000"), seconds(120), 7),
           joined({octets("02 81 00 00 00000078 00000007 00000000 00000000 00000000"), nonce,
                   octets("11 000000 1388 9c40 00000000 00000000 0000ffff cb007101 02 00 0000")}));
  read = read_request(joined({header_of_peer, peer_udp_5000}), client);
  CHECK_EQ(peer_response(read.request, endpoint("203.0.113.1:40000"), seconds(120), 7),
           joined({octets("02 82 00 00 00000078 00000007 00000000 00000000 00000000"), nonce,
                   octets("11 000000 1388 9c40 00000000 00000000 0000ffff cb007101"
                          "1b58 0000 00000000 00000000 0000ffff c6336407")}));
  CHECK_EQ(announce_response(0x01020304),
           octets("02 80 00 00 00000000 01020304 00000000 00000000 00000000"));
}

TEST_CASE("pcp: an error has the request behind its header, cut and padded") {
  const Octets request = joined({header_of_map, map_udp_5000});
  CHECK_EQ(
      error_response(request, Result::not_authorized, seconds(1800), 7),
      joined({octets("02 81 00 02 00000708 00000007 00000000 00000000 00000000"), map_udp_5000}));
  CHECK_EQ(error_response(octets("01 01"), Result::unsupp_version, seconds(1800), 7),
           octets("02 81 00 01 00000708 00000007 00000000 00000000 00000000"));
  Octets odd = request;
  odd.push_back(0xaa);
  CHECK_EQ(error_response(odd, Result::malformed_request, seconds(1800), 7).size(), 64);
  odd.resize(longest_message + 1);
  CHECK_EQ(error_response(odd, Result::malformed_request, seconds(1800), 7).size(),
           longest_message);
}
