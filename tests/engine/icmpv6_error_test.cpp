// ICMPv6 errors (RFC 4443): both ways, hairpinned, damaged, and that they change nothing.
#include <doctest/doctest.h>

#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr IcmpKind kinds[] = {{1, 0}, {1, 4}, {2, 0}, {3, 0}, {3, 1}, {4, 0}, {4, 2}};
const Host6 router6 = V6::router();

std::size_t rest_offset(const Bytes& error) {
  return transport_offset(error) + 4;
}

}  // namespace

TEST_CASE("icmpv6 error: from outside it reaches the sender, quoting what it sent") {
  for (const std::uint32_t shards : {1U, 4U}) {
    for (const std::uint8_t protocol : all_protocols) {
      for (const IcmpKind kind : kinds) {
        for (const std::size_t size : {std::size_t{48}, std::size_t{59}, std::size_t{1232}}) {
          CAPTURE(shards);
          CAPTURE(int{protocol});
          CAPTURE(int{kind.type});
          CAPTURE(size);
          Gateway gateway(policy_of_both(), options_of(shards));
          const Bytes sent = opening(protocol, client6, server6);
          const Outcome left = gateway.out(green, sent);
          const Outcome came =
              gateway.in(error_about(left.bytes, router6, external_host6, kind, size, 1280));
          REQUIRE_EQ(came.reason, Reason::translated_inbound);
          CHECK_EQ(came.namespace_id, green);
          CHECK((source6_of(came.bytes).address == router6));
          CHECK((destination6_of(came.bytes).address == client6.address));
          CHECK(sums_right(came.bytes));
          CHECK_EQ(int{came.bytes[40]}, int{kind.type});
          CHECK_EQ(int{came.bytes[41]}, int{kind.code});
          CHECK_EQ(word_at(came.bytes, rest_offset(came.bytes) + 2), 1280);
          CHECK(begins_with(sent, quoted_in(came.bytes)));
        }
      }
    }
  }
}

TEST_CASE("icmpv6 error: from inside it leaves with the external address, quoting what came") {
  for (const std::uint8_t protocol : all_protocols) {
    for (const Host6& from : {client6.address, V6::inner_router()}) {
      CAPTURE(int{protocol});
      Gateway gateway(policy_of_both(), options_of(4));
      const Peer6 external = open<V6>(gateway, protocol, green, client6, server6);
      const Bytes came = answer(protocol, server6, external);
      const Outcome entered = gateway.in(came);
      REQUIRE(entered.accepted());
      const Outcome left = gateway.out(green, error_about(entered.bytes, from, server6.address));
      REQUIRE_EQ(left.reason, Reason::translated_outbound);
      CHECK(sums_right(left.bytes));
      CHECK((source6_of(left.bytes).address == external_host6));
      CHECK((destination6_of(left.bytes).address == server6.address));
      CHECK(begins_with(came, quoted_in(left.bytes)));
    }
  }
}

TEST_CASE("icmpv6 error: hairpinned it goes back to the sender of the hairpinned packet") {
  Policy policy = policy_of_both();
  policy.filtering = Filtering::endpoint_independent;
  for (const NamespaceId receiver : {green, blue}) {
    Gateway gateway(policy, options_of(4));
    const Peer6 external =
        open<V6>(gateway, protocol::udp, receiver, V6::neighbour(), V6::server());
    const Bytes sent = udp(client6, external, payload_of(20));
    const Outcome crossed = gateway.hairpin(blue, sent);
    REQUIRE(crossed.accepted());
    const Outcome back = gateway.hairpin(
        receiver, error_about(crossed.bytes, V6::neighbour().address, external_host6));
    REQUIRE_EQ(back.reason, Reason::translated_hairpin);
    CHECK_EQ(back.namespace_id, blue);
    CHECK(sums_right(back.bytes));
    CHECK((source6_of(back.bytes).address == external_host6));
    CHECK((destination6_of(back.bytes).address == client6.address));
    CHECK(begins_with(sent, quoted_in(back.bytes)));
  }
}

TEST_CASE("icmpv6 error: a damaged one is dropped, untouched") {
  Gateway gateway(policy_of_both());
  const Outcome left = gateway.out(blue, udp(client6, server6, payload_of(30)));
  const Bytes whole = error_about(left.bytes, router6, external_host6);
  for (std::size_t at = 41; at < whole.size(); ++at) {
    CAPTURE(at);
    Bytes damaged = whole;
    damaged[at] ^= 0x10;
    const Outcome came = gateway.in(damaged);
    CHECK_EQ(came.reason, Reason::malformed_icmp_error);
    CHECK_EQ(came.bytes, damaged);
  }
}

TEST_CASE("icmpv6 error: a quotation cut before the ports is dropped") {
  Gateway gateway(policy_of_both());
  const Outcome left = gateway.out(blue, udp(client6, server6, payload_of(30)));
  for (std::size_t size = 0; size < 48; ++size) {
    CAPTURE(size);
    CHECK_EQ(gateway.in(error_about(left.bytes, router6, external_host6, {1, 4}, size)).reason,
             Reason::malformed_icmp_error);
  }
}

TEST_CASE("icmpv6 error: quoted extension headers are passed over") {
  for (const Extensions& extensions :
       {Extensions{hop_by_hop()}, Extensions{destination_options(16)}, Extensions{routing(0)},
        Extensions{hop_by_hop(), destination_options()}}) {
    Gateway gateway(policy_of_both());
    const Bytes sent = udp(client6, server6, payload_of(30), extensions);
    const Outcome left = gateway.out(blue, sent);
    const Outcome came = gateway.in(error_about(left.bytes, router6, external_host6, {2, 0}));
    REQUIRE_EQ(came.reason, Reason::translated_inbound);
    CHECK(sums_right(came.bytes));
    CHECK(begins_with(sent, quoted_in(came.bytes)));
  }
}

TEST_CASE("icmpv6 error: about a packet of nobody, or of another's, it is dropped") {
  Gateway gateway(policy_of_both(), options_of(4));
  const Peer6 external = open<V6>(gateway, protocol::udp, blue, client6, server6);
  const Bytes of_nobody = udp(at(external, external.port ^ 2), server6, payload_of(30));
  CHECK_EQ(gateway.in(error_about(of_nobody, router6, external_host6)).reason,
           Reason::icmp_error_unmatched);
  const Bytes elsewhere = udp(external, V6::stranger(), payload_of(30));
  CHECK_EQ(gateway.in(error_about(elsewhere, router6, external_host6)).reason,
           Reason::icmp_error_unmatched);
  // The right quotation in another namespace is as wrong.
  const Bytes came = udp(server6, client6, payload_of(30));
  CHECK_EQ(gateway.out(green, error_about(came, client6.address, server6.address)).reason,
           Reason::icmp_error_unsent);
}

TEST_CASE("icmpv6 error: it neither refreshes nor ends a session") {
  Gateway gateway(policy_of_both());
  const Outcome left = gateway.out(blue, echo_request(client6, server6.address, payload_of(30)));
  gateway.travel(59s);
  CHECK(gateway.in(error_about(left.bytes, router6, external_host6)).accepted());
  CHECK_EQ(gateway.engine.session_count(), 1);
  gateway.travel(1s);
  CHECK_FALSE(gateway.in(echo_reply(server6.address, source6_of(left.bytes))).accepted());
}

TEST_CASE("icmpv6 error: an error about an error is never sent on") {
  Gateway gateway(policy_of_both());
  const Outcome left = gateway.out(blue, udp(client6, server6, payload_of(30)));
  const Bytes error = error_about(left.bytes, external_host6, server6.address);
  CHECK_FALSE(gateway.in(error_about(error, router6, external_host6)).accepted());
}

TEST_CASE("icmp error: about a later fragment there is nothing to find a session by") {
  Gateway gateway(policy_of_both());
  const std::vector<Bytes> pieces = fragments_of(udp(client6, server6, payload_of(100)), 48);
  const Outcome first = gateway.out(blue, pieces[0]);
  REQUIRE(first.accepted());
  const Outcome later = gateway.out(blue, pieces[1]);
  REQUIRE(later.accepted());
  CHECK_FALSE(gateway.in(error_about(later.bytes, router6, external_host6)).accepted());
}
