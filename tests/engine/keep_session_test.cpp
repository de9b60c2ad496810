// Sessions that are kept alive, or made, without a packet.
#include <doctest/doctest.h>

#include <stdexcept>

#include "tests/support/connection.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

SessionName name_of(std::uint8_t protocol, Peer internal = client, Peer remote = server,
                    NamespaceId id = blue) {
  return {.namespace_id = id, .protocol = protocol, .internal = internal, .remote = remote};
}

Engine::Kept keep(Gateway& gateway, const SessionName& name) {
  return gateway.engine.keep_session(name, gateway.now);
}

Policy policy_of_two(std::uint32_t session_limit, std::uint32_t port_limit = 0) {
  Policy policy = roomy_policy();
  policy.at_limit = AtLimit::refuse;
  policy.namespaces = {{.first = blue,
                        .last = blue,
                        .session_limit = session_limit,
                        .port_limit = port_limit == 0 ? 1000 : port_limit},
                       {.first = green, .last = green, .session_limit = 1000}};
  return policy;
}

}  // namespace

TEST_CASE("keep: a session is made as the first packet makes it, and nothing is counted as sent") {
  for (const std::uint8_t protocol : protocols_with_ports) {
    Gateway gateway;
    const Engine::Kept kept = keep(gateway, name_of(protocol));
    REQUIRE(kept.has_session());
    const auto sessions = gateway.sessions();
    REQUIRE_EQ(sessions.size(), 1);
    CHECK(sessions[0].external == kept.external);
    CHECK_EQ(sessions[0].state, protocol == protocol::tcp ? "opening" : "active");
    CHECK_EQ(gateway.engine.namespace_traffic()[0].traffic.outbound.packets, 0);
    CHECK_EQ(gateway.count(Reason::translated_outbound), 0);
    // A packet leaves by the same endpoint, and the answer comes in.
    const Peer external = peer_of(kept.external);
    CHECK_EQ(gateway.open(protocol, blue, client, server), external);
    CHECK(gateway.answers(protocol, server, external, blue, client));
    CHECK_EQ(gateway.engine.session_count(), 1);
  }
}

TEST_CASE("keep: tenants with one address have a session each") {
  Gateway gateway;
  const Engine::Kept of_blue = keep(gateway, name_of(protocol::udp));
  const Engine::Kept of_green = keep(gateway, name_of(protocol::udp, client, server, green));
  REQUIRE(of_blue.has_session());
  REQUIRE(of_green.has_session());
  CHECK_FALSE(of_blue.external == of_green.external);
}

TEST_CASE("keep: a session lives as long as it is kept, and no longer") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  for (int i = 0; i < 10; ++i) {
    gateway.expire_after(4min);
    const Engine::Kept kept = keep(gateway, name_of(protocol::udp));
    CHECK_EQ(peer_of(kept.external), external);
  }
  CHECK_EQ(gateway.engine.session_count(), 1);
  gateway.expire_after(6min);
  CHECK_EQ(gateway.engine.session_count(), 0);
}

TEST_CASE("keep: an established connection is only touched") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  gateway.expire_after(2h);
  const Engine::Kept kept = keep(gateway, name_of(protocol::tcp));
  CHECK_EQ(peer_of(kept.external), connection.external);
  CHECK_EQ(connection.state(), "established");
  gateway.expire_after(2h);
  CHECK_EQ(connection.out(ack | push, 1001, 5001), Reason::translated_outbound);
  CHECK_EQ(connection.in(ack | push, 5001, 1001), Reason::translated_inbound);
  // The end of the connection counts as ever, and nothing holds it up.
  CHECK_EQ(connection.in(rst, 5001, 0), Reason::translated_inbound);
  CHECK_EQ(connection.state(), "reset");
  gateway.travel(3min);
  keep(gateway, name_of(protocol::tcp));
  gateway.expire_after(2min);
  CHECK_EQ(connection.state(), "none");
}

TEST_CASE("keep: a connection that is only kept opens with its host's own SYN") {
  Gateway gateway;
  REQUIRE(keep(gateway, name_of(protocol::tcp)).has_session());
  Connection connection{gateway};
  connection.handshake();
  CHECK_EQ(connection.state(), "established");
}

TEST_CASE("keep: no session is made where a packet would get none, and the reason is the same") {
  Policy policy = policy_of_two(1);
  policy.drops = {{.protocol = protocol::udp, .ports = {25, 25}}};
  policy.namespaces[0].untranslated = {Network<Host>{stranger.address, 32}};
  Gateway gateway(policy);
  const auto reason = [&](const SessionName& name) {
    const Engine::Kept kept = keep(gateway, name);
    CHECK_EQ(kept.has_session(), kept.reason == Reason::translated_outbound);
    return kept.reason;
  };
  CHECK_EQ(reason(name_of(protocol::udp, client, at(server, 25))), Reason::dropped_by_rule);
  CHECK_EQ(reason(name_of(protocol::udp, client, stranger)), Reason::untranslated);
  CHECK_EQ(reason(name_of(protocol::udp, at(client, 0))), Reason::invalid_port);
  CHECK_EQ(reason(name_of(protocol::udp, client, {Host::of(224, 0, 0, 1), 5000})),
           Reason::invalid_address);
  CHECK_EQ(reason(name_of(protocol::udp, client, server, 99)), Reason::unknown_namespace);
  CHECK_EQ(gateway.engine.session_count(), 0);
  gateway.open(protocol::udp, blue, client, server);
  const std::uint64_t refused = gateway.use_of(blue).refused;
  CHECK_EQ(reason(name_of(protocol::udp, at(client, 5000))), Reason::session_limit);
  CHECK_EQ(gateway.use_of(blue).refused, refused + 1);
  CHECK_EQ(gateway.engine.session_count(), 1);
  CHECK_EQ(reason({blue, protocol::udp, {Ipv6Address{}, 1}, {Ipv6Address{}, 1}}),
           Reason::no_external_address);
}

TEST_CASE("keep: at its port limit a namespace gets none") {
  Gateway gateway(policy_of_two(1000, 1));
  gateway.open(protocol::udp, blue, client, server);
  CHECK_EQ(keep(gateway, name_of(protocol::udp, at(client, 5000))).reason, Reason::port_limit);
  // Its mapping's port serves another remote.
  CHECK(keep(gateway, name_of(protocol::udp, client, stranger)).has_session());
}

TEST_CASE("keep: room is made as for a packet") {
  Policy policy = policy_of_two(2);
  policy.at_limit = AtLimit::evict_oldest;
  Gateway gateway(policy, options_of(4));
  for (std::uint16_t port = 5000; port < 5010; ++port) {
    CHECK(keep(gateway, name_of(protocol::udp, at(client, port))).has_session());
    gateway.travel(1s);
  }
  CHECK_EQ(gateway.session_count(blue), 2);
  CHECK_EQ(gateway.use_of(blue).evicted, 8);
}

TEST_CASE("keep: what is no session's name is a mistake") {
  Gateway gateway;
  CHECK_THROWS_AS(keep(gateway, name_of(protocol::icmp)), std::invalid_argument);
  CHECK_THROWS_AS(keep(gateway, {blue, protocol::udp, client, {Ipv6Address{}, 1}}),
                  std::invalid_argument);
}
