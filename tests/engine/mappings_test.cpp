// Listing mappings.
#include <doctest/doctest.h>

#include <map>
#include <set>
#include <stdexcept>

#include "tests/support/dice.h"
#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

std::vector<MappingView> mappings(Gateway& gateway, const SessionPattern& pattern = {},
                                  std::size_t page_size = 3) {
  std::vector<MappingView> all;
  std::vector<MappingView> page(page_size);
  MappingCursor cursor;
  while (const auto count = gateway.engine.mappings(pattern, cursor, page, gateway.now)) {
    REQUIRE_LE(*count, page_size);
    all.insert(all.end(), page.begin(), page.begin() + static_cast<std::ptrdiff_t>(*count));
  }
  CHECK_FALSE(gateway.engine.mappings(pattern, cursor, page, gateway.now));
  return all;
}

Policy per_remote() {
  Policy policy = policy_of_both();
  policy.mapping = Mapping::address_and_port_dependent;
  return policy;
}

}  // namespace

TEST_CASE_TEMPLATE("mappings: one is shown once, with what its sessions have", F, V4, V6) {
  for (const std::uint32_t shards : {1U, 8U}) {
    for (const std::uint8_t protocol : {F::icmp, protocol::tcp, protocol::udp}) {
      Gateway gateway(policy_of_both(), options_of(shards));
      const auto external = open<F>(gateway, protocol, green, F::client(), F::server());
      gateway.travel(3s);
      open<F>(gateway, protocol, green, F::client(), F::stranger());
      gateway.travel(2s);
      const auto all = mappings(gateway);
      REQUIRE_EQ(all.size(), 1);
      const MappingView& one = all[0];
      CHECK_EQ(one.namespace_id, green);
      CHECK_EQ(one.protocol, protocol);
      CHECK_EQ(F::peer(one.internal), F::client());
      CHECK_EQ(F::peer(one.external), external);
      CHECK_FALSE(one.remote.has_value());
      CHECK_EQ(one.sessions, 2);
      CHECK_FALSE(one.is_forward);
      CHECK_EQ(one.idle, 2s);
      CHECK_EQ(one.traffic.outbound.packets, 2);
      CHECK_EQ(one.traffic.inbound.packets, 0);
    }
  }
}

TEST_CASE_TEMPLATE("mappings: where each session has its own, each has its remote", F, V4, V6) {
  for (const std::uint8_t protocol : {F::icmp, protocol::tcp, protocol::udp}) {
    Gateway gateway(per_remote(), options_of(4));
    open<F>(gateway, protocol, blue, F::client(), F::server());
    open<F>(gateway, protocol, blue, F::client(), F::stranger());
    std::set<std::string> remotes;
    for (const MappingView& one : mappings(gateway)) {
      CHECK_EQ(one.sessions, 1);
      REQUIRE(one.remote.has_value());
      remotes.insert(to_text(one.remote->address));
    }
    CHECK_EQ(remotes.size(), 2);
    const Network<typename F::Address> host{F::server().address, sizeof(typename F::Address) * 8};
    CHECK_EQ(mappings(gateway, {.remote = {.network = host}}).size(), 1);
  }
}

TEST_CASE_TEMPLATE("mappings: a forward's is one, and only while it has sessions", F, V4, V6) {
  Policy policy = policy_of_both();
  const typename F::Peer service{F::external(), 40080};
  policy.forwards = {{.protocol = protocol::udp,
                      .external = IpEndpoint{service.address, service.port},
                      .namespace_id = blue,
                      .to = IpEndpoint{F::neighbour().address, F::neighbour().port}}};
  Gateway gateway(policy, options_of(4));
  CHECK(mappings(gateway).empty());
  for (const auto& remote : {F::server(), F::stranger()}) {
    REQUIRE(gateway.in(opening(protocol::udp, remote, service)).accepted());
  }
  const auto all = mappings(gateway);
  REQUIRE_EQ(all.size(), 1);
  CHECK(all[0].is_forward);
  CHECK_EQ(all[0].sessions, 2);
  CHECK_EQ(all[0].traffic.inbound.packets, 2);
}

TEST_CASE("mappings: what is meant by each part of a pattern") {
  Gateway gateway(policy_of_both(), options_of(4));
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(30s);
  gateway.open(protocol::udp, blue, client, stranger);
  gateway.open(protocol::tcp, green, client, server);
  open<V6>(gateway, protocol::icmpv6, green, client6, server6);
  gateway.travel(1s);
  const auto count = [&](const SessionPattern& pattern) {
    return mappings(gateway, pattern).size();
  };
  const auto port = [](std::uint16_t number) { return EndpointPattern{.ports = {number, number}}; };
  CHECK_EQ(count({}), 3);
  CHECK_EQ(count({.namespaces = {{blue, blue}}}), 1);
  CHECK_EQ(count({.protocol = protocol::icmp}), 1);
  CHECK_EQ(count({.internal = {.network = *parse_network("10.0.0.0/8")}}), 2);
  CHECK_EQ(count({.external = {.network = *parse_network("2001:db8::/32")}}), 1);
  CHECK_EQ(count({.state = "opening"}), 1);
  // By one of its sessions, but idle only if all are.
  REQUIRE_EQ(count({.remote = port(server.port)}), 2);
  CHECK_EQ(mappings(gateway, {.protocol = protocol::udp, .remote = port(server.port)})[0].sessions,
           2);
  CHECK_EQ(count({.idle_at_least = 30s}), 0);
  CHECK_EQ(count({.idle_at_most = 1s}), 3);
  MappingCursor cursor;
  MappingView page[1];
  CHECK_THROWS_AS(gateway.engine.mappings({.state = "asleep"}, cursor, page, gateway.now),
                  std::invalid_argument);
}

TEST_CASE("mappings: what is over is not shown, and does not count") {
  Gateway gateway(policy_of_both(), options_of(1));
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(200s);
  gateway.open(protocol::udp, blue, client, stranger);
  gateway.travel(200s);
  REQUIRE_EQ(mappings(gateway).size(), 1);
  CHECK_EQ(mappings(gateway)[0].sessions, 1);
  gateway.travel(200s);
  CHECK(mappings(gateway).empty());
}

TEST_CASE("mappings: pages of any size show each once, however many sessions each has") {
  for (const std::uint32_t shards : {1U, 8U}) {
    Gateway gateway(policy_of_both(), options_of(shards));
    std::map<std::uint16_t, std::uint32_t> wanted;
    // Far more sessions than are looked at under one lock, in the order of their remotes.
    for (std::uint16_t remote = 1; remote <= 700; ++remote) {
      for (std::uint16_t port = 1000; port < 1005; ++port) {
        if (remote > 700 / (port - 999)) continue;
        gateway.open(protocol::udp, blue, at(client, port), at(server, remote));
        ++wanted[port];
      }
    }
    for (const std::size_t page_size : {1U, 2U, 64U}) {
      std::map<std::uint16_t, std::uint32_t> shown;
      for (const MappingView& one : mappings(gateway, {}, page_size)) {
        CHECK_FALSE(shown.contains(one.internal.port));
        shown[one.internal.port] = one.sessions;
      }
      CHECK((shown == wanted));
    }
  }
}

TEST_CASE("mappings: those that stay are shown once while others and their sessions come and go") {
  for (const Policy& policy : {policy_of_both(), per_remote()}) {
    Gateway gateway(policy, options_of(4));
    Dice random(7);
    for (std::uint16_t i = 0; i < 200; ++i) {
      gateway.open(protocol::udp, blue, at(client, static_cast<std::uint16_t>(1000 + i)), server);
    }
    for (int i = 0; i < 600; ++i) {
      gateway.open(protocol::udp, green, client, at(server, random.word() | 1));
    }
    for (int round = 0; round < 10; ++round) {
      std::map<std::uint16_t, int> shown;
      MappingView page[5];
      MappingCursor cursor;
      while (const auto count = gateway.engine.mappings({}, cursor, page, gateway.now)) {
        for (std::size_t i = 0; i < *count; ++i) {
          if (page[i].namespace_id == blue) ++shown[page[i].internal.port];
        }
        const SessionPattern some{.namespaces = {{green, green}},
                                  .remote = {.ports = {0, random.word()}}};
        Engine::Cursor ended;
        while (gateway.engine.end_sessions(some, ended, gateway.now)) {
        }
        for (int i = 0; i < 20; ++i) {
          gateway.open(protocol::udp, green, client, at(server, random.word() | 1));
        }
      }
      REQUIRE_EQ(shown.size(), 200);
      for (const auto& [port, times] : shown) REQUIRE_EQ(times, 1);
    }
  }
}

TEST_CASE("mappings: what stays of one with very many sessions counts, whatever ends meanwhile") {
  // Nearly always the session ends that the sum was to go on with.
  for (std::uint16_t kept = 0; kept < 10; ++kept) {
    Gateway gateway(roomy_policy(), options_of(1));
    for (std::uint16_t remote = 1; remote <= 3000; ++remote) {
      gateway.open(protocol::udp, blue, client, at(server, remote));
      if (remote % 3 == 0) gateway.open(protocol::udp, green, client, at(server, remote));
    }
    const SessionPattern blues{.namespaces = {{blue, blue}}};
    MappingView page[5];
    MappingCursor cursor;
    // The first keeps the mapping where it is met.
    REQUIRE_EQ(gateway.engine.mappings(blues, cursor, page, gateway.now), 0);
    for (std::uint16_t remote = 2; remote <= 3000; ++remote) {
      if (remote % 10 == kept) continue;
      Engine::Cursor ended;
      const SessionPattern one{.namespaces = {{blue, blue}}, .remote = {.ports = {remote, remote}}};
      while (gateway.engine.end_sessions(one, ended, gateway.now)) {
      }
    }
    std::vector<MappingView> shown;
    while (const auto some = gateway.engine.mappings(blues, cursor, page, gateway.now)) {
      shown.insert(shown.end(), page, page + *some);
    }
    REQUIRE_EQ(shown.size(), 1);
    CHECK_GE(shown[0].sessions, gateway.session_count(blue));
    CHECK_LE(shown[0].sessions, gateway.session_count(blue) + 256);
  }
}
