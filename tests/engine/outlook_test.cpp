// What an engine says of a packet that it is not given, rule by rule; that it always comes so,
// random sequences show (tests/property/outlook_test.cpp).
#include <doctest/doctest.h>

#include <stdexcept>

#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

template <class F>
Question leaving(typename F::Peer from, typename F::Peer to,
                 std::uint8_t protocol = protocol::udp) {
  return {.direction = Direction::outbound,
          .namespace_id = blue,
          .protocol = protocol,
          .source = {from.address, from.port},
          .destination = {to.address, to.port}};
}

Question coming(Peer from, Peer to) {
  return {.direction = Direction::inbound,
          .protocol = protocol::udp,
          .source = {from.address, from.port},
          .destination = {to.address, to.port}};
}

OutboundOutlook sent(const Gateway& gateway, const Question& question) {
  const Outlook outlook = gateway.engine.outlook(question, gateway.now);
  REQUIRE(outlook.outbound);
  CHECK_EQ(outlook.reason, outlook.outbound->reason);
  return *outlook.outbound;
}

InboundOutlook received(const Gateway& gateway, const Question& question) {
  const Outlook outlook = gateway.engine.outlook(question, gateway.now);
  REQUIRE(outlook.inbound);
  CHECK_EQ(outlook.reason, outlook.inbound->reason);
  return *outlook.inbound;
}

}  // namespace

TEST_CASE_TEMPLATE("outlook: a new mapping keeps the port, and the second session joins it", F, V4,
                   V6) {
  Gateway gateway(policy_of_both());
  const OutboundOutlook first = sent(gateway, leaving<F>(F::client(), F::server()));
  CHECK_EQ(first.reason, Reason::translated_outbound);
  CHECK(first.is_known_namespace);
  CHECK_EQ(first.source, ExternalSource::own);
  CHECK_EQ(first.external, (IpEndpoint{F::external(), F::client().port}));
  CHECK_EQ(first.sessions->used, 0);
  CHECK_EQ(first.unanswered_timeout, Timeouts{}.udp);
  CHECK_FALSE(first.ports);
  const auto external = open<F>(gateway, protocol::udp, blue, F::client(), F::server());
  const OutboundOutlook again = sent(gateway, leaving<F>(F::client(), F::server()));
  CHECK_EQ(again.source, ExternalSource::session);
  CHECK_EQ(again.session->external, (IpEndpoint{external.address, external.port}));
  const OutboundOutlook other = sent(gateway, leaving<F>(F::client(), F::stranger()));
  CHECK_EQ(other.source, ExternalSource::mapping);
  CHECK_EQ(other.external, (IpEndpoint{external.address, external.port}));
  CHECK_EQ(other.sessions->used, 1);
  // A neighbour with the same port gets one of the others.
  const OutboundOutlook neighbours =
      sent(gateway, leaving<F>(at(F::neighbour(), F::client().port), F::server()));
  CHECK_EQ(neighbours.source, ExternalSource::any);
  CHECK_EQ(neighbours.external.port, 0);
  CHECK_EQ(neighbours.free_ports, 32'767);
}

TEST_CASE("outlook: the rule that counts, by its place") {
  Policy policy = roomy_policy();
  policy.drops = {{.protocol = protocol::tcp}, {.protocol = protocol::udp, .ports = {25, 26}}};
  policy.redirects = {
      {.from = {server.address, 54}, .to = {stranger.address, 54}, .namespaces = {green, green}},
      {.from = {server.address, 53}, .to = {stranger.address, 5353}}};
  policy.namespaces.front().untranslated = {*parse_network("192.0.2.0/24")};
  policy.forwards = {{.protocol = protocol::udp,
                      .external = {external_host, 40053},
                      .namespace_id = blue,
                      .to = {client.address, 53},
                      .session_limit = 1}};
  Gateway gateway(policy);
  const OutboundOutlook dropped = sent(gateway, leaving<V4>(client, at(server, 26)));
  CHECK_EQ(dropped.reason, Reason::dropped_by_rule);
  CHECK_EQ(dropped.drop->place, 1);
  CHECK_EQ(dropped.drop->rule, policy.drops[1]);
  CHECK_FALSE(dropped.sessions);
  const OutboundOutlook redirected = sent(gateway, leaving<V4>(client, at(server, 53)));
  CHECK_EQ(redirected.reason, Reason::translated_outbound);
  CHECK_EQ(redirected.redirect->place, 1);
  CHECK_EQ(redirected.remote, (IpEndpoint{stranger.address, 5353}));
  CHECK_FALSE(sent(gateway, leaving<V4>(client, at(server, 54))).redirect);
  CHECK_EQ(sent(gateway, leaving<V4>(client, at(stranger, 9))).reason, Reason::untranslated);
  const OutboundOutlook served = sent(gateway, leaving<V4>(at(client, 53), server));
  CHECK_EQ(served.source, ExternalSource::forward);
  CHECK_EQ(served.forwarded_as->place, 0);
  const Question knock = coming(server, {external_host, 40053});
  const InboundOutlook entering = received(gateway, knock);
  CHECK_EQ(entering.reason, Reason::translated_inbound);
  CHECK_EQ(entering.forward->place, 0);
  CHECK_EQ(entering.namespace_id, blue);
  CHECK_EQ(entering.internal, (IpEndpoint{client.address, 53}));
  CHECK(entering.counts_to_forward);
  REQUIRE(gateway.in(udp(stranger, {external_host, 40053})).accepted());
  CHECK_EQ(received(gateway, knock).reason, Reason::session_limit);
  Question unknown = leaving<V4>(client, server);
  unknown.namespace_id = 999;
  CHECK_FALSE(sent(gateway, unknown).is_known_namespace);
}

TEST_CASE("outlook: who is let in to a mapping") {
  Gateway gateway(policy_with(Filtering::address_dependent));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  CHECK_EQ(received(gateway, coming(server, at(external, 9))).reason, Reason::no_mapping);
  const InboundOutlook filtered = received(gateway, coming(stranger, external));
  CHECK_EQ(filtered.reason, Reason::filtered);
  CHECK(filtered.has_mapping);
  CHECK_EQ(filtered.internal, (IpEndpoint{client.address, client.port}));
  CHECK(received(gateway, coming(server, external)).session);
  const InboundOutlook permitted = received(gateway, coming(at(server, 81), external));
  CHECK_EQ(permitted.reason, Reason::translated_inbound);
  CHECK_FALSE(permitted.session);
}

TEST_CASE("outlook: at the limit, who ends or that nobody does") {
  for (const std::uint32_t shards : {1U, 4U}) {
    Policy policy = roomy_policy();
    policy.namespaces = {{.first = blue, .last = blue, .session_limit = 2}};
    Gateway gateway(policy, options_of(shards));
    gateway.open(protocol::udp, blue, client, server);
    gateway.travel(1s);
    gateway.open(protocol::udp, blue, at(client, 40002), server);
    const Question third = leaving<V4>(at(client, 40004), server);
    const OutboundOutlook outlook = sent(gateway, third);
    CHECK_EQ(outlook.reason, Reason::translated_outbound);
    CHECK(outlook.sessions->is_full());
    REQUIRE(outlook.evicted);
    CHECK_EQ(outlook.evicted->internal.port, client.port);
    CHECK_EQ(gateway.engine.session_count(), 2);
    CHECK_EQ(gateway.use_of(blue).evicted, 0);
    policy.at_limit = AtLimit::refuse;
    gateway.set_policy(policy);
    const OutboundOutlook refused = sent(gateway, third);
    CHECK_EQ(refused.reason, Reason::session_limit);
    CHECK_FALSE(refused.evicted);
    CHECK_EQ(refused.source, ExternalSource::none);
    CHECK_EQ(gateway.use_of(blue).refused, 0);
  }
}

TEST_CASE("outlook: no port for a namespace at its port limit, and none where none is free") {
  Policy policy = policy_with(PortRange{40000, 40001});
  policy.namespaces = {{.first = blue, .last = blue, .port_limit = 1},
                       {.first = green, .last = green}};
  Gateway gateway(policy);
  gateway.open(protocol::udp, blue, client, server);
  const OutboundOutlook limited = sent(gateway, leaving<V4>(neighbour, server));
  CHECK_EQ(limited.reason, Reason::port_limit);
  CHECK(limited.ports->is_full());
  gateway.open(protocol::udp, green, client, server);
  Question last = leaving<V4>(neighbour, server);
  last.namespace_id = green;
  CHECK_EQ(sent(gateway, last).reason, Reason::no_free_port);
}

TEST_CASE("outlook: a session whose time is over matches nothing, and stays until it is freed") {
  Gateway gateway;
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(5min);
  const Outlook outlook = gateway.engine.outlook(leaving<V4>(client, server), gateway.now);
  CHECK(outlook.is_overdue);
  CHECK_FALSE(outlook.outbound->session);
  CHECK_EQ(gateway.engine.session_count(), 1);
  CHECK_EQ(gateway.engine.ended_sessions()[static_cast<std::size_t>(EndCause::expired)], 0);
}

TEST_CASE("outlook: a mapping whose first session is over is another's still") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  gateway.travel(4min);
  gateway.open(protocol::udp, blue, client, stranger);
  gateway.travel(2min);
  const OutboundOutlook outlook = sent(gateway, leaving<V4>(client, server));
  CHECK_FALSE(outlook.session);
  CHECK_EQ(outlook.source, ExternalSource::mapping);
  CHECK_EQ(outlook.external.port, external.port);
  CHECK_EQ(gateway.engine.session_count(), 2);
}

TEST_CASE("outlook: a hairpin is told in both its halves") {
  Policy policy = roomy_policy();
  Gateway gateway(policy);
  const Peer external = gateway.open(protocol::udp, green, client, server);
  Question question = leaving<V4>(client, external);
  question.direction = Direction::hairpin;
  // The green host has not sent to blue's address, so it is filtered.
  Outlook outlook = gateway.engine.outlook(question, gateway.now);
  CHECK_EQ(outlook.reason, Reason::filtered);
  REQUIRE(outlook.outbound);
  REQUIRE(outlook.inbound);
  CHECK_EQ(outlook.inbound->namespace_id, green);
  policy.filtering = Filtering::endpoint_independent;
  gateway.set_policy(policy);
  outlook = gateway.engine.outlook(question, gateway.now);
  CHECK_EQ(outlook.reason, Reason::translated_hairpin);
  policy.hairpin = false;
  gateway.set_policy(policy);
  CHECK_EQ(gateway.engine.outlook(question, gateway.now).reason, Reason::hairpin_off);
}

TEST_CASE("outlook: what makes no session, and ends of two families") {
  const Gateway gateway;
  CHECK_THROWS_AS(gateway.engine.outlook(leaving<V4>(client, server, 99), gateway.now),
                  std::invalid_argument);
  Question mixed = leaving<V4>(client, server);
  mixed.destination.address = server6.address;
  CHECK_THROWS_AS(gateway.engine.outlook(mixed, gateway.now), std::invalid_argument);
  CHECK_EQ(gateway.engine.outlook(leaving<V6>(client6, server6), gateway.now).reason,
           Reason::no_external_address);
}
