// Policies and options that are refused, and the ends of what is allowed.
#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>

#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

struct BadPolicy {
  const char* name;
  std::function<void(Policy&)> spoil;
};

const Host foreign = Host::of(203, 0, 113, 77);

std::vector<BadPolicy> bad_policies() {
  return {
      {"no external address", [](Policy& p) { p.external = {}; }},
      {"ports the wrong way round",
       [](Policy& p) {
         p.ports = {2000, 1999};
       }},
      {"port 0",
       [](Policy& p) {
         p.ports = {0, 1999};
       }},
      {"namespace 0", [](Policy& p) { p.namespaces[0].first = 0; }},
      {"a range the wrong way round",
       [](Policy& p) {
         p.namespaces[0].first = 9;
         p.namespaces[0].last = 8;
       }},
      {"overlapping namespaces",
       [](Policy& p) {
         p.namespaces.push_back({.first = 64, .last = 70, .session_limit = 1, .external = {}});
       }},
      {"unsorted namespaces",
       [](Policy& p) {
         p.namespaces = {{.first = 9, .last = 9, .session_limit = 1, .external = {}},
                         {.first = 5, .last = 5, .session_limit = 1, .external = {}}};
       }},
      {"too many namespaces", [](Policy& p) { p.namespaces[0].last = 65'537; }},
      {"far too many namespaces", [](Policy& p) { p.namespaces[0].last = 0xffff'ffff; }},
      {"too many namespaces in several ranges",
       [](Policy& p) {
         p.namespaces = {{.first = 1, .last = 65'000, .session_limit = 1, .external = {}},
                         {.first = 70'000, .last = 71'000, .session_limit = 1, .external = {}}};
       }},
      {"a session limit of 0", [](Policy& p) { p.namespaces[0].session_limit = 0; }},
      {"an external address that is not the policy's",
       [](Policy& p) { p.namespaces[0].external.v4 = {foreign}; }},
      {"a timeout beyond the longest",
       [](Policy& p) { p.timeouts.tcp_established = max_timeout + 1ms; }},
      {"a udp timeout beyond the longest", [](Policy& p) { p.timeouts.udp = 10'000h; }},
      {"a negative timeout", [](Policy& p) { p.timeouts.icmp = -1ms; }},
      {"a negative transitory timeout", [](Policy& p) { p.timeouts.tcp_transitory = -1ms; }},
  };
}

std::shared_ptr<const Policy> shared(Policy policy) {
  return std::make_shared<const Policy>(std::move(policy));
}

}  // namespace

TEST_CASE("policy: an engine refuses one that breaks its ranges") {
  for (const BadPolicy& c : bad_policies()) {
    INFO(std::string(c.name));
    Policy policy = roomy_policy();
    c.spoil(policy);
    CHECK_THROWS_AS(Engine(options_of(1), shared(policy)), std::invalid_argument);
  }
}

TEST_CASE("policy: a bad new one changes nothing") {
  for (const BadPolicy& c : bad_policies()) {
    INFO(std::string(c.name));
    Gateway gateway(roomy_policy(), options_of(2));
    const Peer external = gateway.open(protocol::udp, blue, client, server);
    Policy policy = roomy_policy();
    policy.filtering = Filtering::endpoint_independent;
    c.spoil(policy);
    CHECK_THROWS_AS(gateway.set_policy(policy), std::invalid_argument);
    CHECK(gateway.answers(protocol::udp, server, external, blue, client));
    CHECK_EQ(gateway.in(udp({Host::of(192, 0, 2, 1), 1}, external)).reason, Reason::filtered);
    CHECK_EQ(gateway.engine.namespaces().size(), 64);
  }
}

TEST_CASE("policy: external addresses and ports are fixed for an engine's life") {
  Gateway gateway;
  Policy more = roomy_policy();
  more.external.v4.push_back(foreign);
  CHECK_THROWS_AS(gateway.set_policy(more), std::invalid_argument);
  Policy other = roomy_policy();
  other.external.v4 = {foreign};
  CHECK_THROWS_AS(gateway.set_policy(other), std::invalid_argument);
  Policy wider = roomy_policy();
  wider.ports = {32767, 65535};
  CHECK_THROWS_AS(gateway.set_policy(wider), std::invalid_argument);
  Policy narrower = roomy_policy();
  narrower.ports = {32768, 65534};
  CHECK_THROWS_AS(gateway.set_policy(narrower), std::invalid_argument);
  gateway.open(protocol::udp, blue, client, server);
}

TEST_CASE("policy: options out of their ranges are refused") {
  for (const std::uint32_t shards : {0U, 3U, 6U, 65U, 128U, 0x8000'0000U}) {
    CAPTURE(shards);
    CHECK_THROWS_AS(Engine(options_of(shards), shared(roomy_policy())), std::invalid_argument);
    CHECK_THROWS_AS(Engine::session_memory_size(options_of(shards), roomy_policy()),
                    std::invalid_argument);
  }
  for (const std::uint32_t max_sessions : {0U, (1U << 28) + 1, 0xffff'ffffU}) {
    CAPTURE(max_sessions);
    CHECK_THROWS_AS(Engine(options_of(1, max_sessions), shared(roomy_policy())),
                    std::invalid_argument);
  }
  for (std::uint32_t shards = 1; shards <= 64; shards *= 2) {
    CHECK_EQ(Engine(options_of(shards), shared(roomy_policy())).shard_count(), shards);
  }
}

TEST_CASE("policy: a secret that everybody knows is refused") {
  EngineOptions options = options_of(1);
  options.secret = {};
  CHECK_THROWS_AS(Engine(options, shared(roomy_policy())), std::invalid_argument);
  options.secret[3] = 1;
  CHECK_EQ(Engine(options, shared(roomy_policy())).session_count(), 0);
}

TEST_CASE("policy: the longest timeouts and a transitory one of zero are allowed") {
  Policy policy = roomy_policy();
  policy.timeouts = {.tcp_established = max_timeout,
                     .tcp_transitory = 0ms,
                     .udp = max_timeout,
                     .icmp = max_timeout};
  Gateway gateway(policy);
  gateway.open(protocol::udp, blue, client, server);
}

TEST_CASE("policy: a namespace that is gone loses its sessions, and its ports get free") {
  for (const std::uint32_t shards : {1U, 4U}) {
    Policy policy = roomy_policy();
    policy.ports = {40000, 40007};
    Gateway gateway(policy, options_of(shards));
    Peer external;
    for (std::uint16_t port = 1000; port < 1008; ++port) {
      external = gateway.open(protocol::udp, blue, at(client, port), server);
    }
    Policy without = policy;
    without.namespaces[0].first = green;
    gateway.set_policy(without);
    CHECK_EQ(gateway.engine.session_count(), 0);
    CHECK_EQ(gateway.in(udp(server, external)).reason, Reason::no_mapping);
    CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::unknown_namespace);
    for (std::uint16_t port = 1000; port < 1008; ++port) {
      gateway.open(protocol::udp, green, at(client, port), server);
    }
    CHECK_EQ(gateway.session_count(green), 8);
    // It may come back.
    gateway.set_policy(policy);
    CHECK_EQ(gateway.session_count(blue), 0);
    CHECK_EQ(gateway.session_count(green), 8);
  }
}

TEST_CASE("policy: sessions live on over a change, by the new limits") {
  Gateway gateway(roomy_policy(), options_of(2));
  const Peer external = gateway.open(protocol::tcp, blue, client, server);
  for (int i = 0; i < 5; ++i) gateway.set_policy(roomy_policy());
  CHECK(gateway.answers(protocol::tcp, server, external, blue, client));
  CHECK_EQ(gateway.session_count(blue), 1);
  Policy one = roomy_policy();
  one.namespaces[0].session_limit = 1;
  one.at_limit = AtLimit::refuse;
  gateway.set_policy(one);
  CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::session_limit);
}

TEST_CASE("policy: an external address taken from a namespace stays with its old sessions") {
  const Host second = Host::of(203, 0, 113, 2);
  Policy policy = roomy_policy();
  policy.external.v4.push_back(second);
  policy.namespaces[0].external.v4 = {external_host};
  Gateway gateway(policy);
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  CHECK_EQ(external.address.host(), external_host.host());
  policy.namespaces[0].external.v4 = {second};
  gateway.set_policy(policy);
  CHECK(gateway.answers(protocol::udp, server, external, blue, client));
  CHECK_EQ(gateway.open(protocol::udp, blue, client, at(server, 81)), external);
  CHECK_EQ(gateway.open(protocol::udp, blue, at(client, 40002), server).address.host(),
           second.host());
}

TEST_CASE("policy: new namespaces fit until 65,536 have ever been, and then none") {
  Policy policy = roomy_policy();
  policy.namespaces[0].last = 65'536;
  Gateway gateway(policy);
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  Policy fewer = roomy_policy();
  gateway.set_policy(fewer);
  Policy other = roomy_policy();
  other.namespaces.push_back(
      {.first = 100'000, .last = 100'000, .session_limit = 5, .external = {}});
  try {
    gateway.set_policy(other);
    gateway.open(protocol::udp, 100'000, client, server);
  } catch (const std::invalid_argument&) {
    CHECK_EQ(gateway.out(100'000, udp(client, server)).reason, Reason::unknown_namespace);
  }
  CHECK(gateway.answers(protocol::udp, server, external, blue, client));
}
