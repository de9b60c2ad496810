// RFC 6888, NATs with many subscribers. A subscriber is a namespace.
#include <doctest/doctest.h>

#include <set>

#include "tests/support/connection.h"

namespace swnat::test {
namespace {

Policy limited(std::uint32_t limit, AtLimit at_limit) {
  Policy policy = roomy_policy();
  policy.at_limit = at_limit;
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = limit},
                       {.first = green, .last = green, .session_limit = 1000}};
  return policy;
}

}  // namespace

TEST_CASE("rfc6888_req3_pool_with_gaps") {
  const Host pool[] = {Host::of(203, 0, 113, 1), Host::of(203, 0, 113, 5),
                       Host::of(198, 51, 100, 200)};
  Policy policy = roomy_policy();
  policy.external.v4.assign(std::begin(pool), std::end(pool));
  Gateway gateway(policy);
  std::set<std::uint32_t> used;
  for (std::uint8_t last = 1; last <= 100; ++last) {
    const Peer internal{Host::of(10, 0, 0, last), 1000};
    used.insert(gateway.open(protocol::udp, blue, internal, server).address.wire);
  }
  CHECK_EQ(used, std::set<std::uint32_t>{pool[0].wire, pool[1].wire, pool[2].wire});
}

TEST_CASE("rfc6888_req4_limit_of_a_subscriber") {
  Gateway gateway(limited(10, AtLimit::refuse), options_of(4));
  for (std::uint16_t port = 1000; port < 1100; ++port) {
    const std::uint8_t protocol = all_protocols[port % 3];
    CHECK_EQ(gateway.out(blue, opening(protocol, at(client, port), server)).accepted(),
             port < 1010);
    CHECK(gateway.out(green, opening(protocol, at(client, port), server)).accepted());
  }
  CHECK_EQ(gateway.session_count(blue), 10);
  CHECK_EQ(gateway.session_count(green), 100);
}

TEST_CASE("rfc6888_req4_ports_of_a_subscriber") {
  Policy policy = limited(1000, AtLimit::evict_oldest);
  policy.namespaces[0].port_limit = 10;
  Gateway gateway(policy, options_of(4));
  for (std::uint16_t port = 1000; port < 1100; ++port) {
    const std::uint8_t protocol = all_protocols[port % 3];
    const Outcome sent = gateway.out(blue, opening(protocol, at(client, port), server));
    CHECK_EQ(sent.reason, port < 1010 ? Reason::translated_outbound : Reason::port_limit);
    CHECK(gateway.out(green, opening(protocol, at(client, port), server)).accepted());
  }
  // REQ-11: nothing ended for what was refused.
  CHECK_EQ(gateway.session_count(blue), 10);
  for (std::uint16_t port = 1000; port < 1010; ++port) {
    gateway.open(all_protocols[port % 3], blue, at(client, port), stranger);
  }
  CHECK_EQ(gateway.session_count(green), 100);
}

TEST_CASE("rfc6888_req5_memory_is_limited") {
  Gateway gateway(roomy_policy(), options_of(2, 64));
  int refused = 0;
  for (std::uint16_t port = 1000; port < 2000; ++port) {
    const Outcome sent = gateway.out(blue, udp(at(client, port), server));
    if (sent.reason == Reason::table_full) ++refused;
  }
  CHECK_EQ(gateway.engine.session_count(), 64);
  CHECK_EQ(refused, 1000 - 64);
}

TEST_CASE("rfc6888_req6_destinations_without_translation") {
  Policy policy = roomy_policy();
  policy.namespaces[0].untranslated = {Network<Host>{server.address, 32}};
  Gateway gateway(policy);
  for (const std::uint8_t protocol : all_protocols) {
    const Bytes packet = opening(protocol, client, server);
    const Outcome left = gateway.out(blue, packet);
    CHECK_EQ(left.reason, Reason::untranslated);
    CHECK_EQ(left.bytes, packet);
    CHECK_EQ(gateway.out(blue, opening(protocol, client, stranger)).reason,
             Reason::translated_outbound);
  }
  // Both ways: a ping from there is answered.
  CHECK(gateway.out(blue, answer(protocol::icmp, client, server)).accepted());
  CHECK_EQ(gateway.session_count(blue), 3);
}

TEST_CASE("rfc6888_req3_ports_with_gaps") {
  const PortRanges ports({{40000, 40015}, {50000, 50015}});
  Gateway gateway(policy_with(ports), options_of(2));
  std::set<std::uint16_t> used;
  for (std::uint16_t port = 1; port <= 32; ++port) {
    used.insert(gateway.open(protocol::udp, blue, at(client, port), server).port);
  }
  CHECK_EQ(used.size(), 32);
  for (const std::uint16_t port : used) CHECK(ports.contains(port));
}

TEST_CASE("rfc6888_req8_freed_ports_rest") {
  Gateway gateway(policy_with(PortRange{40000, 40001}));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  gateway.expire_after(5min);
  CHECK_EQ(gateway.session_count(blue), 0);
  gateway.travel(118s);
  // Not even who asks for this very port gets it, while there is another.
  const Peer other = gateway.open(protocol::tcp, green, client, server);
  CHECK_EQ(other, external);  // of another protocol
  CHECK_NE(gateway.open(protocol::udp, green, client, server), external);
  gateway.travel(2s);
  CHECK_EQ(gateway.open(protocol::udp, green, at(client, 1), server), external);
}

TEST_CASE("rfc6888_req8_resting_ports_keep_nobody_out") {
  Policy policy = policy_with(PortRange{40000, 40015});
  policy.timeouts.udp = 10s;
  Gateway gateway(policy, options_of(2));
  std::set<std::uint16_t> first;
  for (std::uint16_t port = 1000; port < 1016; ++port) {
    if (port == 1008) gateway.travel(5s);
    const Peer external = gateway.open(protocol::udp, blue, at(client, port), server);
    if (port < 1008) first.insert(external.port);
  }
  for (int second = 0; second < 12; ++second) {
    gateway.travel(1s);
    gateway.expire_all();
  }
  REQUIRE_EQ(gateway.session_count(blue), 0);
  // Those that rested longest are first.
  for (std::uint16_t port = 1000; port < 1016; ++port) {
    const Peer external = gateway.open(protocol::udp, green, at(client, port), server);
    CHECK_EQ(first.contains(external.port), port < 1008);
  }
  CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::no_free_port);
}

TEST_CASE("rfc6888_req11_exhaustion") {
  Gateway gateway(limited(2, AtLimit::refuse));
  const Peer first = gateway.open(protocol::udp, blue, client, server);
  gateway.open(protocol::udp, blue, at(client, 2), server);
  CHECK_EQ(gateway.out(blue, udp(at(client, 3), server)).reason, Reason::session_limit);
  CHECK_EQ(gateway.count(Reason::session_limit), 1);
  CHECK(gateway.answers(protocol::udp, server, first, blue, client));
}

TEST_CASE("rfc6888_req11_eviction_stays_within_the_subscriber") {
  Gateway gateway(limited(2, AtLimit::evict_oldest), options_of(4));
  const Peer of_green = gateway.open(protocol::udp, green, client, server);
  const Peer first = gateway.open(protocol::udp, blue, client, server);
  for (std::uint16_t port = 2; port < 50; ++port) {
    gateway.travel(1s);
    gateway.open(protocol::udp, blue, at(client, port), server);
  }
  CHECK_EQ(gateway.session_count(blue), 2);
  CHECK_FALSE(gateway.in(udp(server, first)).accepted());
  CHECK(gateway.answers(protocol::udp, server, of_green, green, client));
}

TEST_CASE("rfc6888_req11_what_is_over_goes_first") {
  for (const AtLimit at_limit : {AtLimit::evict_oldest, AtLimit::refuse}) {
    Gateway gateway(limited(2, at_limit), options_of(4));
    const Peer idle = gateway.open(protocol::udp, blue, client, server);
    CHECK(gateway.answers(protocol::udp, server, idle, blue, client));
    for (std::uint16_t port = 2; port < 50; ++port) {
      gateway.travel(1s);
      const Peer internal = at(client, port);
      const Peer external = gateway.open(protocol::tcp, blue, internal, server);
      CHECK(gateway.answers(protocol::tcp, server, external, blue, internal));
      CHECK(gateway.in(tcp(server, external, {.flags = rst, .sequence = 5001})).accepted());
    }
    CHECK(gateway.answers(protocol::udp, server, idle, blue, client));
  }
}

TEST_CASE("rfc6888_req13_every_port_is_used") {
  for (const PortRange ports : {PortRange{1024, 1151}, PortRange{65408, 65535}}) {
    Gateway gateway(policy_with(ports), options_of(1));
    std::set<std::uint16_t> used;
    for (std::uint16_t port = 1; port <= 128; ++port) {
      used.insert(gateway.open(protocol::udp, blue, at(client, port), server).port);
    }
    CHECK_EQ(used.size(), 128);
    CHECK_EQ(*used.begin(), ports.first);
    CHECK_EQ(*used.rbegin(), ports.last);
  }
}

// And RFC 7422: whose a block was says whose each of its ports was.
TEST_CASE("rfc6888_req14_port_blocks") {
  Policy policy = limited(10'000, AtLimit::evict_oldest);
  policy.namespaces.push_back({.first = 3, .last = 3, .session_limit = 1000});
  for (NamespacePolicy& one : policy.namespaces) one.port_block = 64;
  Gateway gateway(policy, options_of(4));
  gateway.engine.listen({EventKind::block_taken, EventKind::block_given_up}, 64);
  std::vector<Event> log;
  const auto owner_of = [&](std::uint16_t port) -> NamespaceId {
    Event told;
    while (gateway.engine.take_events({&told, 1}, gateway.now) != 0) log.push_back(told);
    for (const Event& one : log) {
      CHECK_EQ(one.kind, EventKind::block_taken);
      const std::uint32_t first = one.external.port;
      if (port >= first && port < first + one.count) return one.namespace_id;
    }
    return 0;
  };
  for (std::uint16_t port = 1000; port < 1400; ++port) {
    const std::uint8_t protocol = all_protocols[port % 3];
    for (const NamespaceId id : {blue, green}) {
      CHECK_EQ(owner_of(gateway.open(protocol, id, at(client, port), server).port), id);
    }
  }
  // 134 ports of each protocol, of which 8 are below 1024.
  for (const NamespaceUse& use : gateway.engine.namespaces()) CHECK_LE(use.port_blocks, 4);
  CHECK_LE(log.size(), 8);
  const std::vector<PortBlockView> before = gateway.engine.port_blocks();
  gateway.end_all();
  // REQ-8: what rests is nobody else's for 120 seconds.
  gateway.travel(118s);
  for (std::uint16_t port = 2000; port < 2100; ++port) {
    const std::uint16_t external = gateway.open(protocol::udp, 3, at(client, port), server).port;
    for (const PortBlockView& block : before) CHECK_FALSE(block.ports.contains(external));
  }
}

TEST_CASE("rfc6888_req15_ports_hard_to_guess") {
  const auto ports_of = [](std::uint64_t secret) {
    EngineOptions options = options_of(1);
    options.secret[3] ^= secret;
    Gateway gateway(roomy_policy(), options);
    std::vector<std::uint16_t> ports;
    for (std::uint16_t port = 2; port <= 600; port = static_cast<std::uint16_t>(port + 2)) {
      ports.push_back(gateway.open(protocol::udp, blue, at(client, port), server).port);
    }
    return ports;
  };
  const std::vector<std::uint16_t> ports = ports_of(0);
  int steps = 0;
  for (std::size_t i = 1; i < ports.size(); ++i) steps += std::abs(ports[i] - ports[i - 1]) <= 8;
  CHECK_LT(steps, 5);  // of 299; by chance 0.1 are expected
  const std::vector<std::uint16_t> others = ports_of(1);
  int equal = 0;
  for (std::size_t i = 0; i < ports.size(); ++i) equal += ports[i] == others[i];
  CHECK_LT(equal, 5);
}

}  // namespace swnat::test
