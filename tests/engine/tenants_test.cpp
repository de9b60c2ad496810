// Tenants with the same addresses.
#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "tests/support/dice.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

struct Owner {
  std::uint8_t protocol;
  NamespaceId id;
  Peer internal;
  Peer remote;
};

}  // namespace

TEST_CASE("tenants: the same internal endpoint in two namespaces is two mappings") {
  for (const std::uint8_t protocol : all_protocols) {
    for (const std::uint32_t shards : {1U, 4U}) {
      Gateway gateway(roomy_policy(), options_of(shards));
      const Peer of_blue = gateway.open(protocol, blue, client, server);
      const Peer of_green = gateway.open(protocol, green, client, server);
      CHECK_NE(of_blue, of_green);
      CHECK(gateway.answers(protocol, server, of_blue, blue, client));
      CHECK(gateway.answers(protocol, server, of_green, green, client));
      CHECK_EQ(gateway.session_count(blue), 1);
      CHECK_EQ(gateway.session_count(green), 1);
    }
  }
}

TEST_CASE("tenants: a namespace that is not in the policy is unknown") {
  Gateway gateway;
  for (const NamespaceId id : {0U, 65U, 1000U, 0xffff'ffffU}) {
    CAPTURE(id);
    for (const std::uint8_t protocol : all_protocols) {
      CHECK_EQ(gateway.out(id, opening(protocol, client, server)).reason,
               Reason::unknown_namespace);
    }
    CHECK_EQ(gateway.hairpin(id, udp(client, {external_host, 40000})).reason,
             Reason::foreign_fwmark);
  }
  CHECK_EQ(gateway.engine.session_count(), 0);
}

TEST_CASE("tenants: ranges are namespaces of their own, to the last id") {
  Policy policy = roomy_policy();
  policy.namespaces = {
      {.first = 5, .last = 7, .session_limit = 10, .external = {}},
      {.first = 9, .last = 9, .session_limit = 20, .external = {}},
      {.first = 0xffff'fffe, .last = 0xffff'ffff, .session_limit = 30, .external = {}}};
  Gateway gateway(policy);
  std::map<NamespaceId, std::uint32_t> limits;
  for (const NamespaceUse& use : gateway.engine.namespaces()) limits[use.id] = use.session_limit;
  CHECK_EQ(limits, std::map<NamespaceId, std::uint32_t>{
                       {5, 10}, {6, 10}, {7, 10}, {9, 20}, {0xffff'fffe, 30}, {0xffff'ffff, 30}});
  std::vector<Peer> externals;
  for (const auto& [id, limit] : limits) {
    const Peer external = gateway.open(protocol::udp, id, client, server);
    CHECK(gateway.answers(protocol::udp, server, external, id, client));
    CHECK_EQ(gateway.session_count(id), 1);
  }
  for (const NamespaceId id : {4U, 8U, 10U, 0xffff'fffdU}) {
    CHECK_EQ(gateway.out(id, udp(client, server)).reason, Reason::unknown_namespace);
  }
}

TEST_CASE("tenants: 65,536 namespaces at most, and all of them work") {
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = 1, .last = 65'536, .session_limit = 1, .external = {}}};
  Gateway gateway(policy);
  for (const NamespaceId id : {1U, 2U, 32'768U, 65'535U, 65'536U}) {
    const Peer external = gateway.open(protocol::udp, id, client, server);
    CHECK(gateway.answers(protocol::udp, server, external, id, client));
  }
  CHECK_EQ(gateway.engine.namespaces().size(), 65'536);
}

// Tenants with the same few addresses and ports, sending at random to the same few remotes: every
// answer must reach who asked, wherever the shards' borders are.
TEST_CASE("tenants: identical addresses never mix, in both directions") {
  for (const std::uint32_t shards : {1U, 2U, 4U, 8U}) {
    CAPTURE(shards);
    Gateway gateway(roomy_policy(), options_of(shards));
    Dice random(shards);
    std::map<std::pair<std::uint8_t, std::uint16_t>, Owner> owners;
    for (int i = 0; i < 8000; ++i) {
      gateway.travel(1ms);
      const std::uint8_t protocol = all_protocols[random.below(3)];
      if (owners.empty() || random.one_in(2)) {
        const Owner owner{protocol,
                          1 + random.below(16),
                          {Host::from_host(0x0a00'0002 + random.below(3)),
                           static_cast<std::uint16_t>(1000 + random.below(40))},
                          {Host::from_host(0xc633'6401 + random.below(2)), 443}};
        const Outcome sent = gateway.out(owner.id, opening(protocol, owner.internal, owner.remote));
        REQUIRE_EQ(sent.reason, Reason::translated_outbound);
        const auto [known, is_new] = owners.try_emplace({protocol, sent.source().port}, owner);
        REQUIRE_EQ(known->second.id, owner.id);
        REQUIRE_EQ(known->second.internal, owner.internal);
        known->second.remote = owner.remote;
        continue;
      }
      auto chosen = owners.begin();
      std::advance(chosen, random.below(static_cast<std::uint32_t>(owners.size())));
      const auto& [key, owner] = *chosen;
      const Outcome received =
          gateway.in(answer(owner.protocol, owner.remote, {external_host, key.second}));
      REQUIRE_EQ(received.reason, Reason::translated_inbound);
      REQUIRE_EQ(received.namespace_id, owner.id);
      REQUIRE_EQ(received.destination(), owner.internal);
      REQUIRE(transport_checksum_is_right(received.bytes));
    }
  }
}

TEST_CASE("tenants: a tenant may have the external address inside, and the remote's") {
  Gateway gateway;
  const Peer odd{external_host, 40000};
  const Peer external = gateway.open(protocol::udp, blue, odd, server);
  CHECK(gateway.answers(protocol::udp, server, external, blue, odd));
  const Peer like_remote{server.address, 80};
  const Peer second = gateway.open(protocol::udp, blue, like_remote, server);
  CHECK(gateway.answers(protocol::udp, server, second, blue, like_remote));
}
