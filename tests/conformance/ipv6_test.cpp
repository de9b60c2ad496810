// The requirements for UDP, TCP and ICMP, met for IPv6 too.
#include <doctest/doctest.h>

#include "tests/support/connection.h"
#include "tests/support/families.h"
#include "tests/support/filtering_cases.h"

namespace swnat::test {

TEST_CASE("ipv6_mapping") {
  Gateway gateway(policy_of_both(), options_of(4));
  for (const std::uint8_t protocol : all_protocols) {
    const Peer6 external = open<V6>(gateway, protocol, blue, client6, server6);
    CHECK((external.address == external_host6));
    CHECK_EQ(open<V6>(gateway, protocol, blue, client6, V6::stranger()), external);
    CHECK_NE(open<V6>(gateway, protocol, green, client6, server6), external);
    CHECK(answers<V6>(gateway, protocol, server6, external, blue, client6));
  }
}

TEST_CASE("ipv6_filtering") {
  for (const FilteringCase& c : filtering_cases) {
    for (const std::uint8_t protocol : protocols_with_ports) {
      Policy policy = policy_of_both();
      policy.filtering = c.filtering;
      Gateway gateway(policy, options_of(4));
      const Peer6 external = open<V6>(gateway, protocol, blue, client6, server6);
      const auto passes = [&](Peer6 remote) {
        return gateway.in(opening(protocol, remote, external)).accepted();
      };
      CHECK(passes(server6));
      CHECK_EQ(passes(at(server6, 4444)), c.other_port_passes);
      CHECK_EQ(passes(V6::stranger()), c.stranger_passes);
    }
  }
}

TEST_CASE("ipv6_hairpin") {
  Policy policy = policy_of_both();
  policy.filtering = Filtering::endpoint_independent;
  for (const std::uint8_t protocol : protocols_with_ports) {
    Gateway gateway(policy, options_of(4));
    const Peer6 external = open<V6>(gateway, protocol, green, V6::neighbour(), server6);
    const Outcome passed = gateway.hairpin(blue, opening(protocol, client6, external));
    REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
    CHECK_EQ(passed.namespace_id, green);
    CHECK_EQ(destination6_of(passed.bytes), V6::neighbour());
    CHECK((source6_of(passed.bytes).address == external_host6));
    CHECK(sums_right(passed.bytes));
  }
}

TEST_CASE("ipv6_timers") {
  const Timeouts timeouts;
  Gateway gateway(policy_of_both());
  const Peer6 of_udp = open<V6>(gateway, protocol::udp, blue, client6, server6);
  const Peer6 of_icmp = open<V6>(gateway, protocol::icmp, blue, client6, server6);
  gateway.travel(timeouts.icmp);
  CHECK_FALSE(gateway.in(answer(protocol::icmp, server6, of_icmp)).accepted());
  gateway.travel(timeouts.udp - timeouts.icmp - 1ms);
  CHECK(answers<V6>(gateway, protocol::udp, server6, of_udp, blue, client6));
}

TEST_CASE("rfc4443_errors_both_ways") {
  for (const std::uint8_t protocol : all_protocols) {
    for (const IcmpKind kind : {IcmpKind{1, 0}, IcmpKind{1, 4}, IcmpKind{3, 0}, IcmpKind{4, 1}}) {
      Gateway gateway(policy_of_both(), options_of(4));
      const Bytes sent = opening(protocol, client6, server6);
      const Outcome left = gateway.out(green, sent);
      const Outcome error = gateway.in(error_about(left.bytes, V6::router(), external_host6, kind));
      REQUIRE_EQ(error.reason, Reason::translated_inbound);
      CHECK_EQ(error.namespace_id, green);
      CHECK((source6_of(error.bytes).address == V6::router()));
      CHECK((destination6_of(error.bytes).address == client6.address));
      CHECK_EQ(int{error.bytes[40]}, int{kind.type});
      CHECK(sums_right(error.bytes));
      CHECK(begins_with(sent, quoted_in(error.bytes)));

      const Bytes came = answer(protocol, server6, source6_of(left.bytes));
      const Outcome entered = gateway.in(came);
      const Outcome back =
          gateway.out(green, error_about(entered.bytes, V6::inner_router(), server6.address, kind));
      REQUIRE_EQ(back.reason, Reason::translated_outbound);
      CHECK((source6_of(back.bytes).address == external_host6));
      CHECK(sums_right(back.bytes));
      CHECK(begins_with(came, quoted_in(back.bytes)));
    }
  }
}

TEST_CASE("rfc4443_packet_too_big") {
  Gateway gateway(policy_of_both(), options_of(4));
  const Bytes sent = tcp(client6, server6, {}, payload_of(1400));
  const Outcome left = gateway.out(blue, sent);
  const Outcome error =
      gateway.in(error_about(left.bytes, V6::router(), external_host6, {2, 0}, 1232, 1280));
  REQUIRE_EQ(error.reason, Reason::translated_inbound);
  CHECK_EQ(word_at(error.bytes, 46), 1280);
  CHECK((destination6_of(error.bytes).address == client6.address));
  CHECK(sums_right(error.bytes));
  CHECK(begins_with(sent, quoted_in(error.bytes)));
}

}  // namespace swnat::test
