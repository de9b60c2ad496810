// Which external endpoint an internal one gets.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "engine/ports/port_space.h"
#include "tests/support/dice.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr std::uint32_t shard_counts[] = {1, 2, 4, 8, 64};

Peer remote_number(std::uint32_t number) {
  return {Host::from_host(0xc633'6401 + number / 7), static_cast<std::uint16_t>(1000 + number)};
}

Host internal_number(std::uint32_t number) {
  return Host::from_host(0x0a00'0002 + number);
}

}  // namespace

TEST_CASE("mapping: rfc4787_req1 one external endpoint whatever the remote") {
  for (const std::uint8_t protocol : all_protocols) {
    for (const std::uint32_t shards : shard_counts) {
      CAPTURE(int{protocol});
      CAPTURE(shards);
      Gateway gateway(roomy_policy(), options_of(shards));
      const Peer external = gateway.open(protocol, blue, client, server);
      for (std::uint32_t i = 0; i < 20; ++i) {
        CHECK_EQ(gateway.open(protocol, blue, client, remote_number(i)), external);
        CHECK(gateway.answers(protocol, remote_number(i), external, blue, client));
      }
      CHECK(gateway.answers(protocol, server, external, blue, client));
    }
  }
}

TEST_CASE("mapping: a session is found again, and made only once") {
  for (const std::uint8_t protocol : all_protocols) {
    Gateway gateway;
    const Peer external = gateway.open(protocol, blue, client, server);
    for (int i = 0; i < 5; ++i) CHECK_EQ(gateway.open(protocol, blue, client, server), external);
    CHECK_EQ(gateway.engine.session_count(), 1);
    CHECK_EQ(gateway.session_count(blue), 1);
  }
}

TEST_CASE("mapping: both legs of a session meet in one shard") {
  for (const std::uint32_t shards : shard_counts) {
    Gateway gateway(roomy_policy(), options_of(shards));
    for (std::uint16_t port = 1000; port < 1200; ++port) {
      const Peer external = gateway.open(protocol::udp, blue, at(client, port), server);
      CHECK_EQ(shard_of_port(external.port, shards), shard_of_port(port, shards));
    }
  }
}

TEST_CASE("mapping: rfc4787_req4 parity is kept") {
  for (const std::uint8_t protocol : {protocol::tcp, protocol::udp}) {
    for (const std::uint32_t shards : shard_counts) {
      Gateway gateway(roomy_policy(), options_of(shards));
      for (std::uint16_t port = 5000; port < 5200; ++port) {
        const Peer external = gateway.open(protocol, blue, at(client, port), server);
        if (external.port % 2 != port % 2) CHECK_EQ(external.port % 2, port % 2);
      }
    }
  }
}

TEST_CASE("mapping: rfc4787_req3 no external endpoint is handed out twice") {
  for (const std::uint32_t shards : shard_counts) {
    Policy policy = roomy_policy();
    policy.ports = {32768, 34815};
    Gateway gateway(policy, options_of(shards));
    Dice random(shards);
    std::map<std::pair<std::uint8_t, std::uint16_t>, std::pair<NamespaceId, Peer>> owners;
    for (int i = 0; i < 4000; ++i) {
      const std::uint8_t protocol = all_protocols[random.below(3)];
      const NamespaceId id = 1 + random.below(8);
      const Peer internal{internal_number(random.below(3)),
                          static_cast<std::uint16_t>(1024 + random.below(4096))};
      const Outcome sent = gateway.out(id, opening(protocol, internal, server));
      if (!sent.accepted()) {
        REQUIRE_EQ(sent.reason, Reason::no_free_port);
        continue;
      }
      REQUIRE_GE(sent.source().port, 32768);
      REQUIRE_LE(sent.source().port, 34815);
      const auto [owner, is_new] = owners.try_emplace({protocol, sent.source().port}, id, internal);
      if (!is_new) REQUIRE((owner->second == std::pair{id, internal}));
    }
    CHECK_GT(owners.size(), 3000);
  }
}

TEST_CASE("mapping: protocols have ports of their own") {
  Policy policy = roomy_policy();
  policy.ports = {40000, 40000};
  Gateway gateway(policy);
  for (const std::uint8_t protocol : all_protocols) {
    CHECK_EQ(gateway.open(protocol, blue, client, server).port, 40000);
  }
}

TEST_CASE("mapping: rfc4787_req2 paired pooling: an internal address keeps its external one") {
  Policy policy = roomy_policy();
  for (std::uint8_t i = 1; i <= 4; ++i) policy.external.v4.push_back(Host::of(203, 0, 113, 10 + i));
  std::set<std::uint32_t> used;
  Gateway gateway(policy, options_of(4));
  for (std::uint32_t host = 0; host < 60; ++host) {
    const Host internal = internal_number(host);
    const Host first = gateway.open(protocol::udp, blue, {internal, 5000}, server).address;
    for (std::uint16_t port = 5001; port < 5020; ++port) {
      const std::uint8_t protocol = all_protocols[port % 3];
      CHECK_EQ(gateway.open(protocol, blue, {internal, port}, server).address.host(), first.host());
    }
    used.insert(first.host());
  }
  CHECK_EQ(used.size(), policy.external.v4.size());
}

TEST_CASE("mapping: a namespace uses the external addresses that are its own") {
  const Host second = Host::of(203, 0, 113, 2);
  const Host third = Host::of(203, 0, 113, 3);
  Policy policy = roomy_policy();
  policy.external.v4 = {external_host, second, third};
  policy.namespaces = {
      {.first = blue, .last = blue, .session_limit = 1000, .external = {{second}, {}}},
      {.first = green, .last = green, .session_limit = 1000, .external = {}}};
  Gateway gateway(policy, options_of(2));
  std::set<std::uint32_t> of_green;
  for (std::uint32_t host = 0; host < 50; ++host) {
    const Peer internal{internal_number(host), 5000};
    const Peer external = gateway.open(protocol::tcp, blue, internal, server);
    CHECK_EQ(external.address.host(), second.host());
    CHECK(gateway.answers(protocol::tcp, server, external, blue, internal));
    of_green.insert(gateway.open(protocol::tcp, green, internal, server).address.host());
  }
  CHECK_EQ(of_green.size(), 3);
}

TEST_CASE("mapping: rfc6056 external ports do not follow from one another") {
  Gateway gateway;
  std::map<int, int> steps;
  int before = 0;
  for (std::uint16_t port = 2000; port < 3000; port += 2) {
    const int external = gateway.open(protocol::udp, blue, at(client, port), server).port;
    ++steps[external - before];
    before = external;
  }
  for (const auto& [step, times] : steps) CHECK_LT(times, 10);
}

TEST_CASE("mapping: another secret makes other ports") {
  EngineOptions other = options_of(1);
  other.secret[0] += 1;
  other.secret[2] += 1;
  Gateway gateway;
  Gateway elsewhere(roomy_policy(), other);
  int same = 0;
  for (std::uint16_t port = 2000; port < 2100; ++port) {
    const Peer internal = at(client, port);
    same += gateway.open(protocol::udp, blue, internal, server) ==
            elsewhere.open(protocol::udp, blue, internal, server);
  }
  CHECK_LT(same, 10);
}

TEST_CASE("mapping: the port is free again when the mapping's last session ends") {
  Policy policy = roomy_policy();
  policy.ports = {40000, 40000};
  Gateway gateway(policy);
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(4min);
  gateway.open(protocol::udp, blue, client, remote_number(1));
  const Bytes other = udp(at(client, 40002), server);
  CHECK_EQ(gateway.out(blue, other).reason, Reason::no_free_port);
  gateway.travel(2min);  // the first session is over, the second is not
  gateway.expire_all();
  CHECK_EQ(gateway.engine.session_count(), 1);
  CHECK_EQ(gateway.out(blue, other).reason, Reason::no_free_port);
  gateway.travel(4min);
  gateway.expire_all();
  CHECK_EQ(gateway.engine.session_count(), 0);
  CHECK_EQ(gateway.out(blue, other).source().port, 40000);
}

TEST_CASE("mapping: every last port is usable, in every shard") {
  for (const std::uint32_t shards : {1U, 2U, 4U}) {
    Policy policy = roomy_policy();
    policy.ports = {65520, 65535};
    Gateway gateway(policy, options_of(shards));
    std::set<std::uint16_t> ports;
    for (std::uint16_t port = 1000; port < 1016; ++port) {
      ports.insert(gateway.open(protocol::tcp, blue, at(client, port), server).port);
    }
    CHECK_EQ(ports.size(), 16);
    CHECK(ports.contains(65535));
    for (std::uint16_t port = 1016; port < 1032; ++port) {
      CHECK_EQ(gateway.out(blue, tcp(at(client, port), server)).reason, Reason::no_free_port);
    }
    CHECK_EQ(gateway.count(Reason::no_free_port), 16);
    CHECK_EQ(gateway.engine.session_count(), 16);
  }
}

TEST_CASE("mapping: an echo identifier of zero is as good as any") {
  Gateway gateway;
  const Peer internal = at(client, 0);
  const Peer external = gateway.open(protocol::icmp, blue, internal, server);
  CHECK(gateway.answers(protocol::icmp, server, external, blue, internal));
}
