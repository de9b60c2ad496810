// A forward with room of its own: what comes in by it counts there, and not to its namespace.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/connection.h"
#include "tests/support/families.h"
#include "tests/support/memory_block.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Peer web{external_host, 40080};
constexpr Peer host{Host::of(10, 0, 0, 2), 80};

Policy forwarding(std::uint32_t forward_limit, std::uint32_t namespace_limit) {
  Policy policy = roomy_policy();
  policy.filtering = Filtering::address_and_port_dependent;
  policy.namespaces = {{.first = blue, .last = green, .session_limit = namespace_limit}};
  for (const std::uint8_t protocol : {protocol::tcp, protocol::udp}) {
    policy.forwards.push_back({.protocol = protocol,
                               .external = web,
                               .namespace_id = blue,
                               .to = host,
                               .session_limit = forward_limit});
  }
  return policy;
}

Reason come(Gateway& gateway, std::uint16_t port, std::uint8_t protocol = protocol::udp) {
  return gateway.in(opening(protocol, at(server, port), web)).reason;
}

std::uint32_t count_of(const Gateway& gateway, std::uint8_t protocol = protocol::udp) {
  for (const ForwardUse& one : gateway.engine.forwards()) {
    if (one.protocol == protocol) return one.sessions;
  }
  return 0;
}

void reset(Gateway& gateway, std::uint16_t port) {
  // The answer, so that the window is known, and a reset in it.
  const TcpFields answered{.flags = syn | ack, .sequence = 5000, .acknowledgment = 1001};
  REQUIRE(gateway.out(blue, tcp(host, at(server, port), answered)).accepted());
  const TcpFields over{.flags = rst, .sequence = 5001};
  REQUIRE(gateway.out(blue, tcp(host, at(server, port), over)).accepted());
}

}  // namespace

TEST_CASE(
    "forward_limit: what comes in counts to the forward, and what goes out to the namespace") {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    for (const std::uint32_t shards : {1U, 4U}) {
      Policy policy = forwarding(3, 2);
      policy.mapping = mapping;
      policy.at_limit = AtLimit::refuse;
      Gateway gateway(policy, options_of(shards));
      for (const std::uint8_t protocol : {protocol::tcp, protocol::udp}) {
        for (std::uint16_t port = 1; port <= 5; ++port) {
          CHECK_EQ(come(gateway, port, protocol),
                   port <= 3 ? Reason::translated_inbound : Reason::session_limit);
        }
        CHECK_EQ(count_of(gateway, protocol), 3);
      }
      CHECK_EQ(gateway.session_count(blue), 0);
      // The host's own sessions, by the forward's port too.
      CHECK_EQ(gateway.out(blue, udp(host, at(server, 900))).reason, Reason::translated_outbound);
      CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::translated_outbound);
      CHECK_EQ(gateway.out(blue, udp(client, at(server, 81))).reason, Reason::session_limit);
      CHECK_EQ(gateway.session_count(blue), 2);
      CHECK_EQ(count_of(gateway), 3);
      CHECK_EQ(gateway.engine.session_count(), 8);
    }
  }
}

TEST_CASE("forward_limit: at its limit nothing that lives ends, but what is over makes room") {
  for (const AtLimit at_limit : {AtLimit::evict_oldest, AtLimit::refuse}) {
    Policy policy = forwarding(3, 50);
    policy.at_limit = at_limit;
    Gateway gateway(policy, options_of(4));
    for (std::uint16_t port = 1; port <= 3; ++port) {
      CHECK_EQ(come(gateway, port, protocol::tcp), Reason::translated_inbound);
      gateway.travel(1s);
    }
    CHECK_EQ(come(gateway, 4, protocol::tcp), Reason::session_limit);
    reset(gateway, 2);
    CHECK_EQ(come(gateway, 4, protocol::tcp), Reason::translated_inbound);
    CHECK_EQ(come(gateway, 5, protocol::tcp), Reason::session_limit);
    std::vector<int> remotes;
    for (const SessionView& one : gateway.sessions()) remotes.push_back(one.remote.port);
    std::ranges::sort(remotes);
    CHECK(remotes == std::vector{1, 3, 4});
    // The only one there may be the one whose mapping the new one would have joined.
    policy.forwards[0].session_limit = 1;
    gateway.set_policy(policy);
    CHECK_EQ(count_of(gateway, protocol::tcp), 1);
    reset(gateway, 4);
    CHECK_EQ(come(gateway, 6, protocol::tcp), Reason::translated_inbound);
    CHECK_EQ(count_of(gateway, protocol::tcp), 1);
    CHECK_EQ(gateway.sessions().front().remote.port, 6);
  }
}

TEST_CASE("forward_limit: without it what comes in counts to the namespace and ends nothing") {
  Gateway gateway(forwarding(0, 2));
  CHECK(gateway.engine.forwards().empty());
  CHECK_EQ(come(gateway, 1, protocol::tcp), Reason::translated_inbound);
  CHECK_EQ(come(gateway, 2, protocol::tcp), Reason::translated_inbound);
  reset(gateway, 1);
  CHECK_EQ(come(gateway, 3, protocol::tcp), Reason::session_limit);
  CHECK_EQ(gateway.session_count(blue), 2);
}

TEST_CASE("forward_limit: the namespace at its limit gives up none of the forward's") {
  Gateway gateway(forwarding(3, 2));
  CHECK_EQ(come(gateway, 1), Reason::translated_inbound);
  for (std::uint16_t port = 1000; port < 1010; ++port) {
    gateway.travel(1s);
    gateway.open(protocol::udp, blue, at(client, port), server);
  }
  CHECK_EQ(gateway.session_count(blue), 2);
  CHECK_EQ(count_of(gateway), 1);
}

TEST_CASE("forward_limit: a reload moves sessions to where they count, and ends those too many") {
  Policy policy = forwarding(0, 100);
  Gateway gateway(policy, options_of(4));
  for (std::uint16_t port = 1; port <= 5; ++port) come(gateway, port, protocol::tcp);
  for (std::uint16_t port = 1; port <= 5; ++port) come(gateway, port);
  reset(gateway, 5);
  gateway.open(protocol::udp, blue, client, server);
  CHECK_EQ(gateway.session_count(blue), 11);
  const Policy without = policy;
  policy = forwarding(5, 100);
  gateway.set_policy(policy);
  CHECK_EQ(gateway.session_count(blue), 1);
  CHECK_EQ(count_of(gateway, protocol::tcp), 5);
  CHECK_EQ(count_of(gateway), 5);
  CHECK_EQ(gateway.engine.session_count(), 11);
  // The one that is over is known there.
  CHECK_EQ(come(gateway, 6, protocol::tcp), Reason::translated_inbound);
  CHECK_EQ(come(gateway, 7, protocol::tcp), Reason::session_limit);
  policy.forwards[0].session_limit = 2;
  policy.forwards[1].session_limit = 0;
  gateway.set_policy(policy);
  CHECK_EQ(count_of(gateway, protocol::tcp), 2);
  CHECK_EQ(gateway.session_count(blue), 6);
  gateway.set_policy(without);
  CHECK_EQ(gateway.session_count(blue), 8);
  CHECK(gateway.engine.forwards().empty());
  gateway.travel(2h + 5min);
  gateway.expire_all();
  gateway.travel(1s);
  gateway.expire_all();
  CHECK_EQ(gateway.session_count(blue), 0);
}

TEST_CASE("forward_limit: rooms that forwards gave up are others', however often") {
  Policy policy = forwarding(2, 10);
  Gateway gateway(policy);
  for (std::uint32_t round = 0; round < 100; ++round) {
    const auto port = static_cast<std::uint16_t>(1000 + round);
    policy.forwards.clear();
    for (std::uint32_t i = 0; i < 50; ++i) {
      const Peer external{external_host, static_cast<std::uint16_t>(port + 200 * i)};
      policy.forwards.push_back({.protocol = protocol::udp,
                                 .external = external,
                                 .namespace_id = blue,
                                 .to = {host.address, static_cast<std::uint16_t>(1000 + i)},
                                 .session_limit = 2});
    }
    gateway.set_policy(policy);
    const Peer first{external_host, port};
    CHECK_EQ(gateway.in(udp(server, first)).reason, Reason::translated_inbound);
    CHECK_EQ(gateway.engine.forwards().front().sessions, 1);
  }
  CHECK_EQ(gateway.engine.session_count(), 1);
  policy.forwards.clear();
  for (std::uint32_t i = 0; i < 4097; ++i) {
    policy.forwards.push_back({.protocol = protocol::udp,
                               .external = Peer{external_host, static_cast<std::uint16_t>(1 + i)},
                               .namespace_id = blue,
                               .to = {host.address, static_cast<std::uint16_t>(1 + i)},
                               .session_limit = 2});
  }
  CHECK_THROWS_AS(gateway.set_policy(policy), std::invalid_argument);
  policy.forwards.back().session_limit = 0;
  gateway.set_policy(policy);
  CHECK_EQ(gateway.engine.forwards().size(), 4096);
}

TEST_CASE("forward_limit: sessions that are taken over count there") {
  Policy policy = forwarding(5, 100);
  Memory memory(options_of(2), policy);
  const EngineOptions options = memory.given_to(options_of(2));
  {
    Gateway before(policy, options);
    for (std::uint16_t port = 1; port <= 5; ++port) come(before, port);
    before.open(protocol::udp, blue, client, server);
  }
  {
    Gateway after(policy, options);
    CHECK_EQ(count_of(after), 5);
    CHECK_EQ(after.session_count(blue), 1);
    CHECK_EQ(come(after, 6), Reason::session_limit);
  }
  policy.forwards[1].session_limit = 3;
  Gateway fewer(policy, options);
  CHECK_EQ(count_of(fewer), 3);
  CHECK_EQ(fewer.session_count(blue), 1);
}
