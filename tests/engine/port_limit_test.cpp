// What one tenant may have of the external ports (RFC 6888 REQ-4), and that ports which only rest
// keep nobody out.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/support/gateway.h"
#include "tests/support/memory_block.h"
#include "tests/support/port_takers.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Policy limited_to(std::uint32_t ports) {
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = 1000, .port_limit = ports},
                       {.first = green, .last = green, .session_limit = 1000}};
  return policy;
}

}  // namespace

TEST_CASE("port_limit: a tenant has no more ports, of all protocols together; others do") {
  for (const std::uint32_t shards : {1U, 4U}) {
    Gateway gateway(limited_to(3), options_of(shards));
    for (const std::uint8_t protocol : all_protocols) {
      gateway.open(protocol, blue, client, server);
    }
    for (std::uint16_t port = 1000; port < 1010; ++port) {
      for (const std::uint8_t protocol : all_protocols) {
        const Bytes packet = opening(protocol, at(client, port), server);
        const Outcome refused = gateway.out(blue, packet);
        CHECK_EQ(refused.reason, Reason::port_limit);
        CHECK_EQ(refused.bytes, packet);
        gateway.open(protocol, green, at(client, port), server);
      }
    }
    CHECK_EQ(gateway.session_count(blue), 3);
    CHECK_EQ(gateway.count(Reason::port_limit), 30);
    CHECK_EQ(gateway.use_of(blue).ports, 3);
    CHECK_EQ(gateway.use_of(blue).port_limit, 3);
    CHECK_EQ(gateway.use_of(green).ports, 30);
    CHECK_EQ(gateway.use_of(green).port_limit, 0);
  }
}

TEST_CASE("port_limit: a mapping has one port, however many sessions") {
  Gateway gateway(limited_to(1));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  for (std::uint16_t port = 100; port < 150; ++port) {
    CHECK_EQ(gateway.open(protocol::udp, blue, client, at(server, port)), external);
  }
  CHECK_EQ(gateway.use_of(blue).ports, 1);
  gateway.end_all();
  CHECK_EQ(gateway.use_of(blue).ports, 0);
}

TEST_CASE("port_limit: with a mapping for each session, each has a port") {
  Policy policy = limited_to(2);
  policy.mapping = Mapping::address_and_port_dependent;
  Gateway gateway(policy);
  gateway.open(protocol::udp, blue, client, at(server, 1));
  gateway.open(protocol::udp, blue, client, at(server, 2));
  CHECK_EQ(gateway.out(blue, udp(client, at(server, 3))).reason, Reason::port_limit);
  gateway.end_all();
  CHECK_EQ(gateway.use_of(blue).ports, 0);
  gateway.open(protocol::udp, blue, client, at(server, 3));
}

TEST_CASE("port_limit: it evicts nobody, and what is refused takes nothing with it") {
  Policy policy = limited_to(2);
  policy.at_limit = AtLimit::evict_oldest;
  Gateway gateway(policy);
  const Peer external = gateway.open(protocol::udp, blue, at(client, 1000), server);
  gateway.open(protocol::udp, blue, at(client, 1001), server);
  for (int i = 0; i < 50; ++i) CHECK_EQ(gateway.try_open(blue, 1002), Reason::port_limit);
  CHECK(gateway.answers(protocol::udp, server, external, blue, at(client, 1000)));
  CHECK_EQ(gateway.session_count(blue), 2);
  CHECK_EQ(gateway.use_of(blue).ports, 2);
}

TEST_CASE("port_limit: a session that is evicted gives its port back") {
  Policy policy = limited_to(2);
  policy.namespaces[0].session_limit = 2;
  for (const std::uint32_t shards : {1U, 4U}) {
    Gateway gateway(policy, options_of(shards));
    for (std::uint16_t port = 1000; port < 1100; ++port) {
      gateway.open(protocol::udp, blue, at(client, port), server);
    }
    CHECK_EQ(gateway.use_of(blue).ports, 2);
  }
}

TEST_CASE("port_limit: a drop for want of a port or of a record counts none") {
  Policy policy = limited_to(100);
  policy.ports = {40000, 40001};
  Gateway gateway(policy);
  for (std::uint16_t port = 1000; port < 1020; ++port) gateway.try_open(blue, port);
  CHECK_EQ(gateway.count(Reason::no_free_port), 18);
  CHECK_EQ(gateway.use_of(blue).ports, 2);

  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    Policy roomy = limited_to(190);
    roomy.mapping = mapping;
    // All of one shard, whose records are used up before those of both.
    Gateway full(roomy, options_of(2, 200));
    for (std::uint16_t port = 1000; port < 1800; port += 4) full.try_open(blue, port);
    CHECK_EQ(full.count(Reason::table_full), 24);
    CHECK_EQ(full.use_of(blue).ports, 176);
  }
}

TEST_CASE("port_limit: what a rule forwards is not counted") {
  Policy policy = limited_to(1);
  policy.forwards = {{.protocol = protocol::udp,
                      .external = {external_host, 40080},
                      .namespace_id = blue,
                      .to = {client.address, 80}}};
  Gateway gateway(policy);
  CHECK(gateway.in(udp(server, {external_host, 40080})).accepted());
  CHECK_EQ(gateway.use_of(blue).ports, 0);
  CHECK_EQ(gateway.try_open(blue, 1000), Reason::translated_outbound);
  CHECK_EQ(gateway.try_open(blue, 80), Reason::translated_outbound);
  CHECK_EQ(gateway.try_open(blue, 1001), Reason::port_limit);
  CHECK_EQ(gateway.use_of(blue).ports, 1);
}

TEST_CASE("port_limit: it follows the policy; mappings beyond it live on") {
  Gateway gateway(limited_to(0));
  for (std::uint16_t port = 1000; port < 1010; ++port) {
    gateway.open(protocol::udp, blue, at(client, port), server);
  }
  gateway.set_policy(limited_to(5));
  CHECK_EQ(gateway.use_of(blue).ports, 10);
  CHECK_EQ(gateway.try_open(blue, 1010), Reason::port_limit);
  gateway.open(protocol::udp, blue, at(client, 1000), at(server, 81));
  gateway.set_policy(limited_to(11));
  CHECK_EQ(gateway.try_open(blue, 1010), Reason::translated_outbound);
  CHECK_EQ(gateway.try_open(blue, 1011), Reason::port_limit);
}

TEST_CASE("port_limit: ports of sessions that are taken over count") {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    Policy policy = limited_to(3);
    policy.mapping = mapping;
    Memory memory(options_of(2), policy);
    const EngineOptions options = memory.given_to(options_of(2));
    {
      Gateway before(policy, options);
      before.open(protocol::udp, blue, at(client, 1000), server);
      before.open(protocol::udp, blue, at(client, 1001), server);
    }
    Gateway after(policy, options);
    CHECK_EQ(after.use_of(blue).ports, 2);
    CHECK_EQ(after.try_open(blue, 1002), Reason::translated_outbound);
    CHECK_EQ(after.try_open(blue, 1003), Reason::port_limit);
  }
}

TEST_CASE("port_limit: one tenant's short sessions leave others their ports") {
  Policy policy = limited_to(0);
  policy.ports = {40000, 40127};
  policy.timeouts.udp = 1s;
  for (const std::uint32_t shards : {1U, 4U}) {
    Gateway gateway(policy, options_of(shards));
    // Never more than 64 sessions, but each leaves a port that rests.
    for (int round = 0; round < 4; ++round) {
      for (std::uint16_t i = 0; i < 64; ++i) {
        const auto port = static_cast<std::uint16_t>(1000 + 64 * round + i);
        gateway.open(protocol::udp, blue, at(client, port), server);
      }
      gateway.travel(1s);
      for (std::uint16_t port = 2000; port < 2060; ++port) {
        CHECK_EQ(gateway.try_open(green, port), Reason::translated_outbound);
      }
      gateway.travel(1s);
      gateway.expire_all();
    }
    CHECK_EQ(gateway.count(Reason::no_free_port), 0);
  }
}

TEST_CASE("port_limit: the port that rested longest is taken first, whichever shard's") {
  for (const std::uint32_t shards : {1U, 2U, 8U}) {
    CAPTURE(shards);
    PortSpace space({40000, 40031}, shards, true);
    Ports taken = take_all(space, 0, 40000);
    REQUIRE_EQ(taken.size(), 32);
    CHECK_FALSE(space.take_resting(0, 40000, 0).has_value());
    Tick now = 0xffff'fff0;
    for (const std::uint16_t port : taken) space.release(0, port, now++, Rest::full);
    for (const std::uint16_t port : taken) {
      CHECK_FALSE(space.take(shards - 1, 5000, 0, now).has_value());
      CHECK_EQ(space.take_resting(shards - 1, 5001, now), port);
      CHECK_EQ(space.shard_of(port), shards - 1);
    }
    CHECK_FALSE(space.take_resting(0, 40000, now).has_value());
    // Given back it rests again, in full.
    space.release(shards - 1, 40004, now, Rest::full);
    CHECK_FALSE(space.take(0, 40004, 0, now + port_rest - 1).has_value());
    CHECK_EQ(space.take(0, 40004, 0, now + port_rest), 40004);
  }
}

TEST_CASE("port_limit: of the ports that rest too, only those of the class are taken") {
  PortSpace space({1000, 1040}, 2, true);
  for (const std::uint16_t port : take_everything(space, 0)) space.release(0, port, 7, Rest::full);
  for (int i = 0; i < 24; ++i) CHECK_LT(space.take_resting(1, 80, 8).value_or(9999), 1024);
  CHECK_FALSE(space.take_resting(1, 80, 8).has_value());
  for (int i = 0; i < 17; ++i) CHECK_GE(space.take_resting(1, 8080, 8).value_or(0), 1024);
  CHECK_FALSE(space.take_resting(1, 8080, 8).has_value());
}

TEST_CASE("port_limit: a withheld port is not taken while it rests") {
  PortSpace space({40000, 40001}, 1, true);
  for (const std::uint16_t port : take_all(space, 0, 40000)) {
    space.release(0, port, 0, Rest::full);
  }
  space.withhold(40000, true);
  CHECK_EQ(space.take_resting(0, 40000, 1), 40001);
  CHECK_FALSE(space.take_resting(0, 40000, 1).has_value());
}

namespace {

// A tenant at its session limit, whose next packet finds no external endpoint.
struct Hopeless {
  Reason reason;
  Policy policy;
};

std::vector<Hopeless> hopeless() {
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = 4}};
  std::vector<Hopeless> all(3, {Reason::port_limit, policy});
  all[0].policy.namespaces[0].port_limit = 1;
  all[1].reason = Reason::no_free_port;
  all[1].policy.ports = {40000, 40000};
  all[2].reason = Reason::remote_in_use;
  all[2].policy.redirects = {{protocol::udp, {server.address, 53}, {server.address, 103}}};
  return all;
}

}  // namespace

TEST_CASE("port_limit: nothing ends for a packet that finds no external endpoint") {
  for (const std::uint32_t shards : {1U, 4U}) {
    for (const AtLimit at_limit : {AtLimit::evict_oldest, AtLimit::refuse}) {
      for (Hopeless& one : hopeless()) {
        CAPTURE(shards);
        CAPTURE(info(one.reason).name);
        one.policy.at_limit = at_limit;
        Gateway gateway(one.policy, options_of(shards));
        for (std::uint16_t port = 100; port < 104; ++port) {
          gateway.open(protocol::udp, blue, client, at(server, port));
        }
        const bool is_remote = one.reason == Reason::remote_in_use;
        // Of another shard than the tenant's sessions, where there is one.
        const Peer from = is_remote ? client : at(client, 40002);
        const Peer to = is_remote ? at(server, 53) : at(server, 200);
        const Reason expected = at_limit == AtLimit::refuse ? Reason::session_limit : one.reason;
        for (int i = 0; i < 20; ++i) CHECK_EQ(gateway.out(blue, udp(from, to)).reason, expected);
        CHECK_EQ(gateway.use_of(blue).sessions, 4);
        CHECK_EQ(gateway.use_of(blue).ports, 1);
        gateway.open(protocol::udp, blue, client, at(server, 103));
        CHECK_EQ(gateway.use_of(blue).sessions, 4);
      }
    }
  }
}

TEST_CASE("port_limit: who is at the session limit has the port of the session that ends") {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    Policy policy = roomy_policy();
    policy.mapping = mapping;
    policy.ports = {40000, 40009};
    policy.namespaces = {{.first = blue, .last = blue, .session_limit = 10}};
    Gateway gateway(policy);
    for (std::uint16_t port = 1000; port < 1014; ++port) {
      CHECK_EQ(gateway.try_open(blue, port), Reason::translated_outbound);
    }
    CHECK_EQ(gateway.use_of(blue).sessions, 10);
  }
}
