// A namespace at its session limit, and a packet that there is no free port for: a session ends for
// it only if that gives it one.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// One port of each protocol, or 64 that are one block.
Policy with_few_ports(bool has_blocks, std::uint32_t limit) {
  Policy policy = roomy_policy();
  policy.ports = has_blocks ? PortRanges{40000, 40063} : PortRanges{40000, 40000};
  policy.namespaces = {
      {.first = blue, .last = blue, .session_limit = limit, .port_block = has_blocks ? 64u : 0},
      {.first = green, .last = green, .session_limit = 10'000}};
  policy.timeouts.udp = 1h;
  policy.timeouts.icmp = 1h;
  return policy;
}

}  // namespace

TEST_CASE("last_port: no session ends for a packet that the port of which is of no use to") {
  for (const std::uint32_t shards : {1U, 4U}) {
    for (const std::uint32_t port_limit : {0U, 1U}) {
      Policy policy = with_few_ports(false, 1);
      policy.namespaces[0].port_limit = port_limit;
      Gateway gateway(policy, options_of(shards));
      gateway.open(protocol::udp, green, client, server);
      gateway.open(protocol::icmp, blue, client, server);
      for (std::uint16_t port = 2000; port < 2016; ++port) {
        CHECK_EQ(gateway.out(blue, udp(at(client, port), server)).reason, Reason::no_free_port);
        CHECK_EQ(gateway.session_count(blue), 1);
      }
    }
  }
}

TEST_CASE("last_port: a session ends for a packet that gets its port") {
  for (const bool has_blocks : {false, true}) {
    for (const std::uint32_t shards : {1U, 4U}) {
      for (const bool is_limited : {false, true}) {
        const std::uint32_t count = has_blocks ? 64 : 1;
        Policy policy = with_few_ports(has_blocks, count);
        policy.namespaces[0].port_limit = is_limited ? count : 0;
        Gateway gateway(policy, options_of(shards));
        for (std::uint32_t i = 0; i < 3 * count; ++i) {
          gateway.open(protocol::udp, blue, at(client, static_cast<std::uint16_t>(2000 + i)),
                       server);
          gateway.travel(1ms);
        }
        CHECK_EQ(gateway.session_count(blue), count);
      }
    }
  }
}

namespace {

// Opens sessions of one shard with one remote, each from an endpoint of its own. How many were
// refused; no session ended for those.
int refused_of(Gateway& gateway, int count) {
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    const Peer internal{Host::of(10, 0, 1, static_cast<std::uint8_t>(i / 64)),
                        static_cast<std::uint16_t>(1000 + 8 * (i % 64))};
    const std::uint32_t before = gateway.session_count(blue);
    const Reason reason = gateway.out(blue, udp(internal, server)).reason;
    gateway.travel(1ms);
    if (reason == Reason::translated_outbound) continue;
    ++refused;
    CHECK_EQ(reason, Reason::no_free_port);
    CHECK_EQ(gateway.session_count(blue), before);
  }
  return refused;
}

}  // namespace

TEST_CASE("last_port: with a mapping for each session it may be in any of the tenant's blocks") {
  constexpr std::uint32_t shards = 4;
  Policy policy = with_few_ports(true, 256 / shards);
  policy.mapping = Mapping::address_and_port_dependent;
  policy.ports = {40000, 40255};  // four blocks
  Gateway gateway(policy, options_of(shards));
  CHECK_EQ(refused_of(gateway, 600), 0);
  CHECK_EQ(gateway.session_count(blue), 256 / shards);
}

TEST_CASE("last_port: no session ends where its port is in more blocks than are looked at") {
  std::vector<PortRange> ranges;
  for (std::uint32_t first = 40000; first < 40000 + 64 * 30; first += 64) {
    ranges.push_back({static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(first + 1)});
  }
  Policy policy = with_few_ports(true, 60);
  policy.mapping = Mapping::address_and_port_dependent;
  policy.ports = PortRanges(ranges);
  Gateway gateway(policy);
  CHECK_GT(refused_of(gateway, 600), 0);
  CHECK_EQ(gateway.session_count(blue), 60);
}

namespace {

// Blue's mappings all have what a new one could not.
struct Change {
  const char* name;
  Policy before;
  Policy after;
  bool withholds;
  Reason reason;
};

std::vector<Change> changes() {
  const Host other = Host::of(203, 0, 113, 2);
  Policy policy = roomy_policy();
  policy.external.v4 = {external_host, other};
  policy.ports = {40000, 40002};
  policy.namespaces = {
      {.first = blue, .last = blue, .session_limit = 3, .external = {.v4 = {external_host}}},
      {.first = green, .last = green, .session_limit = 3, .external = {.v4 = {other}}}};
  Policy lowered = policy;
  lowered.namespaces[0].port_limit = 1;
  Policy moved = policy;
  moved.namespaces[0].external.v4 = {other};
  return {{"port limit lowered", policy, lowered, false, Reason::port_limit},
          {"withheld", policy, policy, true, Reason::no_free_port},
          {"other address", policy, moved, false, Reason::no_free_port}};
}

// With three sessions each, of as many mappings.
void prepare(Gateway& gateway, const Change& change) {
  for (std::uint16_t port = 40000; port < 40003; ++port) {
    gateway.open(protocol::udp, blue, at(client, port), server);
    gateway.open(protocol::udp, green, at(client, port), server);
    gateway.travel(1ms);
  }
  gateway.set_policy(change.after);
  PortBits withheld;
  withheld.set(40000, change.withholds);
  gateway.engine.withhold(protocol::udp, withheld);
}

}  // namespace

TEST_CASE("last_port: nor does the last session of a mapping that could not be had again") {
  for (const std::uint32_t shards : {1U, 4U}) {
    for (const Change& change : changes()) {
      CAPTURE(change.name);
      Gateway gateway(change.before, options_of(shards));
      prepare(gateway, change);
      CHECK_EQ(gateway.out(blue, udp(at(client, 40000), at(server, 81))).reason, change.reason);
      CHECK_EQ(gateway.session_count(blue), 3);
    }
  }
}

TEST_CASE("last_port: another session ends for one that joins such a mapping") {
  for (const std::uint32_t shards : {1U, 4U}) {
    for (const Change& change : changes()) {
      CAPTURE(change.name);
      Gateway gateway(change.before, options_of(shards));
      prepare(gateway, change);
      // Now another has been idle for longer.
      gateway.out(blue, udp(at(client, 40000), server));
      gateway.travel(1ms);
      CHECK_EQ(gateway.out(blue, udp(at(client, 40000), at(server, 81))).reason,
               Reason::translated_outbound);
      CHECK_EQ(gateway.session_count(blue), 3);
    }
  }
}

TEST_CASE("last_port: the last session of a mapping ends where there is a port for another") {
  for (const std::uint32_t shards : {1U, 4U}) {
    Policy policy = with_few_ports(false, 1);
    Gateway gateway(policy, options_of(shards));
    gateway.open(protocol::udp, blue, client, server);
    CHECK_EQ(gateway.out(blue, udp(client, at(server, 81))).reason, Reason::translated_outbound);
    CHECK_EQ(gateway.session_count(blue), 1);
  }
}
