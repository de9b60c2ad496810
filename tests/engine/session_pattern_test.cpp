// Sessions listed and ended by what is meant.
#include <doctest/doctest.h>

#include <functional>
#include <set>
#include <stdexcept>

#include "tests/support/connection.h"
#include "tests/support/families.h"
#include "tests/support/listener.h"

using namespace swnat;
using namespace swnat::test;

namespace {

EndpointPattern host(Host address) {
  return {.network = Network<Ipv4Address>{address, 32}};
}
EndpointPattern port(std::uint16_t number) {
  return {.ports = {number, number}};
}

constexpr Peer other_client = at(neighbour, 1001);

// Six sessions that differ in all that a pattern names.
void fill(Gateway& gateway) {
  gateway.open(protocol::udp, blue, client, server);
  gateway.open(protocol::udp, green, client, at(server, 53));
  open<V6>(gateway, protocol::udp, green, client6, server6);
  gateway.open(protocol::icmp, blue, at(client, 7), server);
  gateway.open(protocol::icmp, blue, at(client, 8), server);
  open<V6>(gateway, protocol::icmpv6, blue, at(client6, 8), server6);
  gateway.travel(30s);
  Connection connection{gateway};
  connection.handshake();
  gateway.open(protocol::tcp, blue, other_client, {Host::of(192, 0, 2, 9), 443});
}
constexpr std::size_t all_of_them = 8;

std::size_t listed(Gateway& gateway, const SessionPattern& pattern) {
  SessionView page[3];
  Engine::Cursor cursor;
  std::size_t all = 0;
  while (const auto count = gateway.engine.sessions(pattern, cursor, page, gateway.now)) {
    for (std::size_t i = 0; i < *count; ++i) CHECK(pattern.matches(page[i]));
    all += *count;
  }
  return all;
}

std::size_t end(Gateway& gateway, const SessionPattern& pattern) {
  Engine::Cursor cursor;
  std::size_t all = 0;
  while (const auto count = gateway.engine.end_sessions(pattern, cursor, gateway.now)) {
    all += *count;
  }
  return all;
}

}  // namespace

TEST_CASE("session_pattern: each part, and parts together") {
  struct Case {
    const char* name;
    SessionPattern pattern;
    std::size_t count;
  };
  const Case cases[] = {
      {"all", {}, all_of_them},
      {"a namespace", {.namespaces = {{blue, blue}}}, 6},
      {"some namespaces", {.namespaces = {{green, green}, {5, 9}}}, 2},
      {"udp", {.protocol = 17}, 3},
      {"icmp of both families", {.protocol = 1}, 3},
      {"icmp of IPv6", {.protocol = 58}, 1},
      {"internal address", {.internal = host(other_client.address)}, 1},
      {"internal network", {.internal = {.network = *parse_network("10.0.0.0/24")}}, 6},
      {"internal network of IPv6", {.internal = {.network = *parse_network("fd00::/8")}}, 2},
      {"internal port", {.internal = port(8)}, 2},
      {"external address", {.external = host(external_host)}, 6},
      {"no external address", {.external = host(client.address)}, 0},
      {"remote address", {.remote = host(server.address)}, 5},
      {"remote port", {.remote = port(53)}, 1},
      {"remote ports", {.remote = {.ports = {53, 443}}}, 5},
      {"state", {.state = "established"}, 1},
      {"another state", {.state = "opening"}, 1},
      {"state of what has none", {.state = "active"}, 6},
      {"idle", {.idle_at_least = 30s}, 6},
      {"not idle", {.idle_at_most = 29s}, 2},
      {"idle for longer than any", {.idle_at_least = 31s}, 0},
      {"several parts",
       {.namespaces = {{blue, blue}}, .protocol = 6, .remote = port(443), .state = "opening"},
       1},
  };
  for (const std::uint32_t shards : {1U, 4U}) {
    for (const Case& one : cases) {
      CAPTURE(one.name);
      Gateway gateway(policy_of_both(), options_of(shards));
      fill(gateway);
      CHECK_EQ(listed(gateway, one.pattern), one.count);
      CHECK_EQ(end(gateway, one.pattern), one.count);
      CHECK_EQ(listed(gateway, one.pattern), 0);
      CHECK_EQ(gateway.sessions().size(), all_of_them - one.count);
      CHECK_EQ(gateway.engine.session_count(), all_of_them - one.count);
    }
  }
}

TEST_CASE("session_pattern: a state that no session has is refused") {
  Gateway gateway;
  gateway.open(protocol::udp, blue, client, server);
  Engine::Cursor cursor;
  SessionView page[1];
  for (const char* state : {"free", "asleep", "Active"}) {
    const SessionPattern pattern{.state = state};
    CHECK_THROWS_AS(gateway.engine.end_sessions(pattern, cursor, 0ms), std::invalid_argument);
    CHECK_THROWS_AS(gateway.engine.sessions(pattern, cursor, page, 0ms), std::invalid_argument);
  }
  for (const char* state :
       {"active", "opening", "established", "half-closed", "closing", "reset"}) {
    CHECK(is_session_state(state));
  }
}

TEST_CASE("session_pattern: of many namespaces just those are meant") {
  Gateway gateway(roomy_policy(), options_of(2));
  for (NamespaceId id = 1; id <= 64; ++id) gateway.open(protocol::udp, id, client, server);
  SessionPattern odd;
  for (NamespaceId id = 1; id <= 63; id += 2) odd.namespaces.push_back({id, id});
  CHECK_EQ(listed(gateway, odd), 32);
  CHECK_EQ(listed(gateway, {.namespaces = {{2, 3}, {4, 9}, {64, 0xffff'ffff}}}), 9);
  Engine::Cursor cursor;
  for (const std::vector<NamespaceRange>& wrong : {std::vector<NamespaceRange>{{5, 5}, {1, 1}},
                                                   {{1, 5}, {5, 6}},
                                                   {{2, 1}},
                                                   {{1, 0xffff'ffff}, {1, 1}}}) {
    CHECK_THROWS_AS(gateway.engine.end_sessions({.namespaces = wrong}, cursor, gateway.now),
                    std::invalid_argument);
  }
}

TEST_CASE("session_pattern: events are matched by all but state and time") {
  Gateway gateway;
  Listener listener(gateway);
  gateway.open(protocol::udp, blue, client, server);
  const auto told = listener.take();
  REQUIRE_EQ(told.size(), 2);
  const SessionPattern to_server{.protocol = 17, .remote = host(server.address)};
  CHECK(to_server.matches(told[1]));
  CHECK_FALSE(to_server.matches(told[0]));  // the mapping is for any remote
  CHECK(SessionPattern{.internal = host(client.address), .state = "reset"}.matches(told[0]));
  CHECK_FALSE(SessionPattern{.namespaces = {{green, green}}}.matches(told[0]));
}

TEST_CASE("end_sessions: a few with each call, over all shards; what is made behind it stays") {
  Gateway gateway(roomy_policy(), options_of(4));
  constexpr int count = 3000;
  for (int i = 0; i < count; ++i) {
    gateway.open(protocol::udp, blue, at(client, static_cast<std::uint16_t>(1000 + i)), server);
    if (i % 3 == 0) {
      gateway.open(protocol::udp, green, at(client, static_cast<std::uint16_t>(1000 + i)), server);
    }
  }
  const SessionPattern pattern{.namespaces = {{blue, blue}}};
  Engine::Cursor cursor;
  std::size_t ended = 0;
  int calls = 0;
  while (const auto some = gateway.engine.end_sessions(pattern, cursor, gateway.now)) {
    CHECK_LE(*some, 32);
    ended += *some;
    ++calls;
  }
  CHECK_EQ(ended, count);
  CHECK_GE(calls, count / 32);
  CHECK_FALSE(gateway.engine.end_sessions(pattern, cursor, gateway.now));
  gateway.open(protocol::udp, blue, client, server);
  CHECK_FALSE(gateway.engine.end_sessions(pattern, cursor, gateway.now));
  CHECK_EQ(gateway.session_count(blue), 1);
  CHECK_EQ(gateway.session_count(green), count / 3);
}

TEST_CASE("end_sessions: expired ones are not among them, and end as expired") {
  Gateway gateway;
  gateway.open(protocol::udp, blue, client, server);
  Listener listener(gateway);
  gateway.travel(5min);
  CHECK_EQ(end(gateway, {}), 0);
  CHECK_EQ(gateway.session_count(blue), 1);
  gateway.expire_all();
  gateway.travel(1s);
  gateway.expire_all();
  CHECK_EQ(listener.words(), ends_of_one("expired"));
}

TEST_CASE("end_sessions: rfc6888_req8 the port rests, but not after a connection that is over") {
  Policy policy = roomy_policy();
  policy.ports = {40000, 40003};
  Gateway gateway(policy);
  // While another port is free, nobody gets what a flushed session had.
  const Peer first = gateway.open(protocol::udp, blue, client, server);
  REQUIRE_EQ(end(gateway, {}), 1);
  const Peer second = gateway.open(protocol::udp, green, client, server);
  CHECK_NE(second, first);
  gateway.travel(2min);
  REQUIRE_EQ(end(gateway, {}), 1);
  CHECK_EQ(gateway.open(protocol::udp, green, client, server), first);

  Gateway other(policy);
  Connection connection{other};
  connection.handshake();
  connection.in(rst, 5001, 0);
  REQUIRE_EQ(end(other, {.state = "reset"}), 1);
  CHECK_EQ(other.open(protocol::tcp, green, client, server), connection.external);
}

TEST_CASE("end_sessions: what comes next is a stranger's, or begins anew") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  gateway.open(protocol::udp, blue, client, at(server, 81));
  // The mapping lives on while it has a session.
  REQUIRE_EQ(end(gateway, {.remote = port(80)}), 1);
  CHECK_EQ(gateway.open(protocol::udp, blue, client, at(server, 82)), external);
  REQUIRE_EQ(end(gateway, {}), 2);
  CHECK_EQ(gateway.in(answer(protocol::udp, server, external)).reason, Reason::no_mapping);
}
