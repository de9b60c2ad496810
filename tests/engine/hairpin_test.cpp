// Packets from one tenant to another's external endpoint.
#include <doctest/doctest.h>

#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

const Peer host{Host::of(10, 0, 0, 9), 5004};

}  // namespace

TEST_CASE("hairpin: rfc4787_req9 between tenants, the sender shown by its external endpoint") {
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const std::uint32_t shards : {1U, 8U}) {
      for (const ChecksumState state : {ChecksumState::complete, ChecksumState::partial}) {
        CAPTURE(int{protocol});
        CAPTURE(shards);
        Gateway gateway(policy_with(Filtering::endpoint_independent), options_of(shards));
        const Peer external = gateway.open(protocol, green, host, server);
        Bytes packet = opening(protocol, client, external);
        if (state == ChecksumState::partial) packet = pseudo_summed(packet);
        const Outcome passed = gateway.hairpin(blue, packet, state);
        REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
        CHECK_EQ(passed.destination(), host);
        CHECK_EQ(passed.namespace_id, green);
        CHECK(header_checksum_is_right(passed.bytes));
        CHECK(transport_checksum_is_right(passed.bytes));
        // The same endpoint that the world sees.
        CHECK_EQ(passed.source(), gateway.open(protocol, blue, client, server));

        const Outcome back = gateway.hairpin(green, answer(protocol, host, passed.source()));
        REQUIRE_EQ(back.reason, Reason::translated_hairpin);
        CHECK_EQ(back.source(), external);
        CHECK_EQ(back.destination(), client);
        CHECK_EQ(back.namespace_id, blue);
        CHECK(transport_checksum_is_right(back.bytes));
      }
    }
  }
}

TEST_CASE("hairpin: within a tenant, and to oneself") {
  for (const std::uint8_t protocol : protocols_with_ports) {
    Gateway gateway(policy_with(Filtering::endpoint_independent), options_of(4));
    const Peer external = gateway.open(protocol, blue, host, server);
    const Outcome to_other = gateway.hairpin(blue, opening(protocol, client, external));
    REQUIRE_EQ(to_other.reason, Reason::translated_hairpin);
    CHECK_EQ(to_other.destination(), host);
    CHECK_EQ(to_other.namespace_id, blue);
    const Outcome self = gateway.hairpin(blue, opening(protocol, host, external));
    REQUIRE_EQ(self.reason, Reason::translated_hairpin);
    CHECK_EQ(self.source(), external);
    CHECK_EQ(self.destination(), host);
  }
}

TEST_CASE("hairpin: a segmented datagram keeps its pseudo-header's sum") {
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::udp, green, host, server);
  const Bytes packet = pseudo_summed(udp(client, external, payload_of(3000)));
  const Outcome passed = gateway.hairpin(blue, packet, ChecksumState::segmented);
  REQUIRE(passed.accepted());
  CHECK_EQ(word_at(passed.bytes, transport_checksum_offset(packet)),
           pseudo_header_sum(passed.bytes));
}

TEST_CASE("hairpin: filtering sees the sender's external address") {
  Policy policy = roomy_policy();
  policy.filtering = Filtering::address_dependent;
  Gateway gateway(policy);
  const Peer external = gateway.open(protocol::udp, green, host, server);
  CHECK_EQ(gateway.hairpin(blue, udp(client, external)).reason, Reason::filtered);
  // Once the receiver has sent to the sender's external endpoint, it is let in.
  const Peer of_client = gateway.open(protocol::udp, blue, client, server);
  CHECK(gateway.hairpin(green, udp(host, of_client)).accepted());
  const Outcome passed = gateway.hairpin(blue, udp(client, external));
  CHECK_EQ(passed.reason, Reason::translated_hairpin);
  CHECK_EQ(passed.destination(), host);
}

TEST_CASE("hairpin: switched off it is dropped, untouched and without a session") {
  Policy policy = policy_with(Filtering::endpoint_independent);
  policy.hairpin = false;
  Gateway gateway(policy);
  const Peer external = gateway.open(protocol::udp, green, host, server);
  const Bytes packet = udp(client, external, payload_of(10));
  const Outcome passed = gateway.hairpin(blue, packet);
  CHECK_EQ(passed.reason, Reason::hairpin_off);
  CHECK_EQ(passed.bytes, packet);
  CHECK_EQ(gateway.session_count(blue), 0);
}

TEST_CASE("hairpin: what its receiver refuses is dropped untouched") {
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const ChecksumState state : {ChecksumState::complete, ChecksumState::partial}) {
      CAPTURE(int{protocol});
      Policy policy = policy_with(Filtering::endpoint_independent);
      policy.namespaces = {{.first = blue, .last = blue},
                           {.first = green, .last = green, .session_limit = 1}};
      Gateway gateway(policy, options_of(4));
      Bytes packet = opening(protocol, client, gateway.open(protocol, green, host, server));
      if (state == ChecksumState::partial) packet = pseudo_summed(packet);
      const Outcome refused = gateway.hairpin(blue, packet, state);
      CHECK_EQ(refused.reason, Reason::session_limit);
      CHECK_EQ(refused.bytes, packet);
      CHECK_EQ(refused.namespace_id, blue);
    }
  }
}

TEST_CASE("hairpin: what cannot go out is dropped for the reason that it would have") {
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::tcp, green, host, server);
  CHECK_EQ(gateway.hairpin(blue, tcp(client, external, {.flags = 0x10})).reason,
           Reason::foreign_segment);
  CHECK_EQ(gateway.hairpin(0, tcp(client, external)).reason, Reason::foreign_fwmark);
  CHECK_EQ(gateway.hairpin(blue, tcp(at(client, 0), external)).reason, Reason::invalid_port);
  CHECK_EQ(gateway.hairpin(blue, icmp(client.address, external_host, 3, 3, 0)).reason,
           Reason::malformed_icmp_error);
}

TEST_CASE("hairpin: one packet is counted once") {
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::udp, green, host, server);
  gateway.hairpin(blue, udp(client, external));
  CHECK_EQ(gateway.count(Reason::translated_hairpin), 1);
  CHECK_EQ(gateway.count(Reason::translated_outbound), 1);
  CHECK_EQ(gateway.count(Reason::translated_inbound), 0);
}

TEST_CASE("hairpin: a TCP connection between two tenants, from SYN to the last acknowledgment") {
  Policy policy = policy_with(Filtering::endpoint_independent);
  policy.timeouts.tcp_transitory = 0ms;
  Gateway gateway(policy, options_of(4));
  const Peer listening = gateway.open(protocol::tcp, green, host, server);
  const auto pass = [&](NamespaceId id, Peer from, Peer to, const TcpFields& fields) {
    const Outcome passed = gateway.hairpin(id, tcp(from, to, fields));
    REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
    return passed.source();
  };
  const std::uint64_t before = gateway.engine.session_count();
  const Peer seen = pass(blue, client, listening, {.flags = 0x02, .sequence = 100});
  pass(green, host, seen, {.flags = 0x12, .sequence = 900, .acknowledgment = 101});
  pass(blue, client, listening, {.flags = 0x10, .sequence = 101, .acknowledgment = 901});
  CHECK_EQ(gateway.engine.session_count(), before + 2);
  pass(blue, client, listening, {.flags = 0x11, .sequence = 101, .acknowledgment = 901});
  pass(green, host, seen, {.flags = 0x11, .sequence = 901, .acknowledgment = 102});
  pass(blue, client, listening, {.flags = 0x10, .sequence = 102, .acknowledgment = 902});
  CHECK_EQ(gateway.engine.session_count(), before);
}
