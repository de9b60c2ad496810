// What each namespace lost to its limits and rules: sessions that were evicted, packets refused.
#include <doctest/doctest.h>

#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Policy with_limit(std::uint32_t limit, AtLimit at_limit) {
  Policy policy = roomy_policy();
  policy.at_limit = at_limit;
  policy.namespaces = {{.first = blue, .last = green, .session_limit = limit, .external = {}}};
  return policy;
}

void check(const Gateway& gateway, NamespaceId id, std::uint64_t evicted, std::uint64_t refused) {
  CHECK_EQ(gateway.use_of(id).evicted, evicted);
  CHECK_EQ(gateway.use_of(id).refused, refused);
}

}  // namespace

TEST_CASE("tenant_losses: evictions count for who lost the session, within a shard and over them") {
  for (const std::uint32_t shards : {1u, 8u}) {
    Gateway gateway(with_limit(4, AtLimit::evict_oldest), options_of(shards));
    for (std::uint16_t port = 1000; port < 1010; ++port) {
      gateway.open(protocol::udp, blue, at(client, port), server);
      gateway.travel(1ms);
    }
    check(gateway, blue, 6, 0);
    check(gateway, green, 0, 0);
    // What ends for other reasons is no eviction.
    gateway.end_all();
    check(gateway, blue, 6, 0);
  }
}

TEST_CASE("tenant_losses: packets refused by limits and rules count, whoever listens") {
  Policy policy = with_limit(2, AtLimit::refuse);
  policy.drops = {{.protocol = protocol::tcp, .ports = {25, 25}}};
  policy.filtering = Filtering::endpoint_independent;
  Gateway gateway(policy, options_of(4));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  gateway.open(protocol::udp, blue, client, neighbour);
  CHECK_EQ(gateway.try_open(blue, 1001), Reason::session_limit);
  check(gateway, blue, 0, 1);
  CHECK_EQ(gateway.out(blue, tcp(client, at(server, 25))).reason, Reason::dropped_by_rule);
  check(gateway, blue, 0, 2);
  REQUIRE_EQ(verdict_of(gateway.in(answer(protocol::udp, stranger, external)).reason),
             Verdict::drop);
  check(gateway, blue, 0, 3);
  // Nobody is refused who has no session to get.
  gateway.in(answer(protocol::udp, stranger, at(external, 39999)));
  gateway.out(99, udp(client, server));
  check(gateway, blue, 0, 3);
  check(gateway, green, 0, 0);
}

TEST_CASE("tenant_losses: they go on where they were when a namespace comes back") {
  Policy policy = with_limit(1, AtLimit::evict_oldest);
  Gateway gateway(policy, options_of(2));
  gateway.open(protocol::udp, blue, client, server);
  gateway.open(protocol::udp, blue, neighbour, server);
  check(gateway, blue, 1, 0);
  Policy without = policy;
  without.namespaces[0].first = green;
  gateway.set_policy(without);
  gateway.set_policy(policy);
  check(gateway, blue, 1, 0);
}
