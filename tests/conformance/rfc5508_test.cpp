// RFC 5508, NAT behaviour for ICMP.
#include <doctest/doctest.h>

#include "nfq/answer_rate.h"
#include "tests/support/connection.h"

namespace swnat::test {
namespace {

constexpr std::size_t quotation = 28;

bool is_right_error(const Bytes& error) {
  return sums_right(error) && header_checksum_is_right(quoted_in(error));
}

}  // namespace

TEST_CASE("rfc5508_req1_queries") {
  Gateway gateway(roomy_policy(), options_of(4));
  const Peer external = gateway.open(protocol::icmp, blue, client, server);
  const Peer of_green = gateway.open(protocol::icmp, green, client, server);
  CHECK_NE(of_green, external);
  CHECK_EQ(gateway.open(protocol::icmp, blue, client, stranger), external);  // whoever is asked
  CHECK(gateway.answers(protocol::icmp, server, external, blue, client));
  CHECK(gateway.answers(protocol::icmp, stranger, external, blue, client));
  CHECK(gateway.answers(protocol::icmp, server, of_green, green, client));
}

TEST_CASE("rfc5508_req2_query_timer") {
  CHECK_GE(Policy{}.timeouts.icmp, 60s);
  Gateway gateway;
  const Peer external = gateway.open(protocol::icmp, blue, client, server);
  gateway.travel(60s - 1ms);
  CHECK(gateway.answers(protocol::icmp, server, external, blue, client));
}

TEST_CASE("rfc5508_req3_damaged_errors") {
  Gateway gateway;
  const Bytes sent = udp(client, server, payload_of(30));
  Bytes left = gateway.out(blue, sent).bytes;
  Bytes error = error_about(left, router, external_host);
  error[quotation + 30] ^= 1;  // against the ICMP checksum
  CHECK_FALSE(gateway.in(error).accepted());
  Bytes quoted = left;
  quoted[8] ^= 1;  // against the quoted header's checksum
  CHECK_FALSE(gateway.in(error_about(quoted, router, external_host)).accepted());
  left[40] ^= 0x55;  // against the quoted transport's, which is nobody's business
  const Outcome passed = gateway.in(error_about(left, router, external_host));
  REQUIRE(passed.accepted());
  CHECK_EQ(transport_damage(quoted_in(passed.bytes)), transport_damage(left));
}

TEST_CASE("rfc5508_req3_quoted_options_and_extensions") {
  Gateway gateway;
  const Bytes sent =
      udp(client, server, payload_of(150), {.options = {1, 1, 1, 1, 1, 1, 1, 0}, .protocol = 17});
  const Outcome left = gateway.out(blue, sent);
  // RFC 4884: 128 bytes of the packet, then an extension that no translation may touch.
  const Bytes extension = {0x20, 0, 0xdf, 0xff, 0, 8, 1, 1, 10, 0, 0, 2};
  Bytes quoted(left.bytes.begin(), left.bytes.begin() + 128);
  quoted.insert(quoted.end(), extension.begin(), extension.end());
  const Outcome passed = gateway.in(error_about(quoted, router, external_host, {11, 0}));
  REQUIRE(passed.accepted());
  CHECK(is_right_error(passed.bytes));
  CHECK(begins_with(quoted_in(passed.bytes), Bytes(sent.begin(), sent.begin() + 128)));
  CHECK_EQ(Bytes(passed.bytes.end() - 12, passed.bytes.end()), extension);
}

TEST_CASE("rfc5508_req4_errors_from_outside") {
  Gateway gateway(roomy_policy(), options_of(4));
  for (const std::uint8_t protocol : all_protocols) {
    const Bytes sent = opening(protocol, client, server);
    const Outcome left = gateway.out(green, sent);
    const Outcome passed = gateway.in(error_about(left.bytes, router, external_host, {3, 13}));
    REQUIRE_EQ(passed.reason, Reason::translated_inbound);
    CHECK_EQ(passed.namespace_id, green);
    CHECK_EQ(passed.source().address.wire, router.wire);
    CHECK_EQ(passed.destination().address.wire, client.address.wire);
    CHECK_EQ(int{passed.bytes[20]}, 3);
    CHECK_EQ(int{passed.bytes[21]}, 13);
    CHECK(is_right_error(passed.bytes));
    CHECK(begins_with(sent, quoted_in(passed.bytes)));
  }
  const Bytes of_nobody = udp({external_host, 50001}, server, payload_of(30));
  CHECK_FALSE(gateway.in(error_about(of_nobody, router, external_host)).accepted());
}

TEST_CASE("rfc5508_req5_errors_from_inside") {
  constexpr Host inner_router = Host::of(10, 0, 0, 254);
  for (const std::uint8_t protocol : all_protocols) {
    for (const Host from : {client.address, inner_router}) {
      Gateway gateway(roomy_policy(), options_of(4));
      const Peer external = gateway.open(protocol, green, client, server);
      const Bytes came = answer(protocol, server, external);
      const Outcome entered = gateway.in(came);
      const Outcome passed = gateway.out(green, error_about(entered.bytes, from, server.address));
      REQUIRE_EQ(passed.reason, Reason::translated_outbound);
      CHECK_EQ(passed.source().address.wire, external_host.wire);
      CHECK_EQ(passed.destination().address.wire, server.address.wire);
      CHECK(is_right_error(passed.bytes));
      CHECK(begins_with(came, quoted_in(passed.bytes)));
    }
  }
}

TEST_CASE("rfc5508_req6_errors_change_nothing") {
  Gateway gateway;
  const Outcome left = gateway.out(blue, echo_request(client, server.address, payload_of(30)));
  gateway.travel(59s);
  CHECK(gateway.in(error_about(left.bytes, router, external_host)).accepted());
  CHECK_EQ(gateway.engine.session_count(), 1);
  gateway.travel(1s);  // neither ended nor kept by it
  CHECK_FALSE(gateway.in(echo_reply(server.address, left.source())).accepted());
}

TEST_CASE("rfc5508_req7_hairpinned_errors") {
  Gateway gateway(policy_with(Filtering::endpoint_independent), options_of(4));
  const Peer external = gateway.open(protocol::udp, green, neighbour, server);
  const Bytes sent = udp(client, external, payload_of(20));
  const Outcome crossed = gateway.hairpin(blue, sent);
  REQUIRE(crossed.accepted());
  const Outcome passed =
      gateway.hairpin(green, error_about(crossed.bytes, neighbour.address, external_host));
  REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
  CHECK_EQ(passed.namespace_id, blue);
  CHECK_EQ(passed.source().address.wire, external_host.wire);
  CHECK_EQ(passed.destination().address.wire, client.address.wire);
  CHECK(is_right_error(passed.bytes));
  CHECK(begins_with(sent, quoted_in(passed.bytes)));
}

TEST_CASE("rfc5508_req7_errors_of_the_gateway") {
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::udp, green, neighbour, server);
  const Bytes sent = udp(client, external, text("too big for the link"));
  const Outcome crossed = gateway.hairpin(blue, sent);
  // It is about what it would have sent to the receiver, so it has the receiver's fwmark.
  const Outcome told = gateway.hairpin(
      green, error_about(crossed.bytes, Host::of(10, 0, 0, 1), external_host, {3, 4}));
  REQUIRE_EQ(told.reason, Reason::translated_hairpin);
  CHECK_EQ(told.namespace_id, blue);
  CHECK_EQ(told.destination().address, client.address);
  CHECK_EQ(quoted_in(told.bytes), sent);
}

TEST_CASE("rfc5508_req8_answer_when_no_session") {
  constexpr Host gateway_host = Host::of(10, 0, 0, 1);
  for (const std::uint8_t protocol : all_protocols) {
    Policy policy = roomy_policy();
    policy.at_limit = AtLimit::refuse;
    policy.namespaces[0].session_limit = 1;
    Gateway gateway(policy);
    gateway.open(protocol, blue, neighbour, server);
    const Bytes sent = opening(protocol, client, server);
    const Outcome refused = gateway.out(blue, sent);
    REQUIRE(deserves_answer(refused.reason));
    Bytes answer(ipv4_answer_max);
    answer.resize(
        write_icmp_answer(refused.bytes, gateway_host, std::span(answer).first<ipv4_answer_max>()));
    REQUIRE_GT(answer.size(), quotation);
    CHECK(is_right_error(answer));
    CHECK_EQ(word_at(answer, 20), 3 << 8 | 13);
    CHECK_EQ(destination_of(answer).address.wire, client.address.wire);
    CHECK_EQ(quoted_in(answer), sent);
  }
}

TEST_CASE("rfc5508_req10_rate_of_answers") {
  nfq::AnswerRate rate({.all = 20, .each = 5});
  Time now{0};
  const auto answered = [&](NamespaceId id) {
    int count = 0;
    for (int i = 0; i < 1000; ++i)
      if (rate.take(id, now)) ++count;
    return count;
  };
  CHECK_EQ(answered(blue), 5);
  CHECK_EQ(answered(green), 5);  // whoever floods
  now += 999ms;
  CHECK_EQ(answered(blue), 0);
  now += 1ms;
  CHECK_EQ(answered(blue), 5);
}

TEST_CASE("rfc5508_req10_types") {
  Gateway gateway;
  const Outcome left = gateway.out(blue, udp(client, server, payload_of(30)));
  for (const std::uint8_t type : {std::uint8_t{3}, std::uint8_t{11}, std::uint8_t{12}}) {
    const Outcome passed = gateway.in(error_about(left.bytes, router, external_host, {type, 0}));
    CHECK_EQ(passed.reason, Reason::translated_inbound);
  }
  CHECK(gateway.out(blue, echo_request(client, server.address)).accepted());
}

}  // namespace swnat::test
