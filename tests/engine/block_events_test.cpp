// What is told of port blocks (RFC 7422): that one was taken or given up, by whom, and when.
#include <doctest/doctest.h>

#include <map>

#include "engine/ports/port_set.h"
#include "tests/support/families.h"
#include "tests/support/listener.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr NamespaceId plain = 3;  // is to have no blocks, and gets the smallest
constexpr EventKinds of_blocks{EventKind::block_taken, EventKind::block_given_up};

// One block of 64, or some.
Policy in_blocks(const PortRanges& ports) {
  Policy policy = policy_of_both();
  policy.ports = ports;
  policy.timeouts.udp = 1s;
  policy.namespaces = {{.first = blue, .last = green, .session_limit = 10'000, .port_block = 64},
                       {.first = plain, .last = plain, .session_limit = 10'000}};
  return policy;
}

void open(Gateway& gateway, NamespaceId id, std::uint16_t port) {
  gateway.open(protocol::udp, id, at(client, port), server);
}

}  // namespace

TEST_CASE_TEMPLATE("block_events: a block from its first port to the end of its rest", F, V4, V6) {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    for (const NamespaceId id : {green, plain}) {
      Policy policy = in_blocks({40000, 40255});
      policy.mapping = mapping;
      Gateway gateway(policy, options_of(4));
      Listener listener(gateway, of_blocks);
      gateway.travel(7s);
      const Time taken_at = gateway.now;
      for (std::uint16_t port = 1000; port < 1003; ++port) {
        open<F>(gateway, protocol::udp, id, at(F::client(), port), F::server());
      }
      const PortBlockView block = gateway.engine.port_blocks().front();
      gateway.end_all(1s);
      gateway.travel(port_rest * 1ms);
      gateway.expire_all();
      gateway.travel(5s);
      const auto told = listener.take();
      REQUIRE_EQ(told.size(), 2);
      for (const Event& event : told) {
        CHECK_EQ(event.namespace_id, id);
        CHECK(event.external == IpEndpoint{F::external(), block.ports.first});
        CHECK_EQ(event.count, 64);
        CHECK(event.internal == IpEndpoint{});
        CHECK_EQ(event.protocol, 0);
      }
      CHECK_EQ(told[0].kind, EventKind::block_taken);
      CHECK_EQ(told[0].time, taken_at);
      CHECK_EQ(told[1].kind, EventKind::block_given_up);
      CHECK_EQ(told[1].time, gateway.now - 5s);
    }
  }
}

TEST_CASE(
    "block_events: a block that rests is given up before another takes it, not if its owner") {
  Gateway gateway(in_blocks({40000, 40063}));
  Listener listener(gateway);
  open(gateway, blue, 1000);
  gateway.end_all(1s);
  open(gateway, blue, 1001);
  gateway.end_all(1s);
  REQUIRE(gateway.engine.port_blocks().front().rests);
  listener.take();
  const auto told = [&] {
    std::vector<std::string> all;
    for (const Event& event : listener.take()) {
      if (!of_blocks.contains(event.kind)) continue;
      all.push_back(std::string(name_of(event.kind)) + " " + std::to_string(event.namespace_id));
    }
    return all;
  };
  open(gateway, blue, 1002);
  CHECK(told().empty());
  gateway.end_all(1s);
  open(gateway, green, 1000);
  CHECK_EQ(told(), Words{"block_given_up 1", "block_taken 2"});
  gateway.end_all(1s);
  CHECK(told().empty());
}

TEST_CASE("block_events: what was told is who had which ports") {
  Gateway gateway(in_blocks({40000, 40511}), options_of(2));
  Listener listener(gateway, of_blocks);
  std::map<std::uint16_t, NamespaceId> owners;  // by the block's first port
  for (int round = 0; round < 300; ++round) {
    const auto port = static_cast<std::uint16_t>(2000 + round * 7);
    for (std::uint16_t i = 0; i < round % 90; ++i) {
      gateway.out(1 + static_cast<NamespaceId>(round % 3),
                  udp(at(client, static_cast<std::uint16_t>(port + i)), server));
    }
    gateway.travel(Time(round * 131 % 40'000));
    if (round % 2 == 0) gateway.expire_all();
    for (const Event& event : listener.take()) {
      REQUIRE_EQ(event.count, 64);
      if (event.kind == EventKind::block_taken) {
        CHECK(owners.try_emplace(event.external.port, event.namespace_id).second);
      } else {
        const auto owner = owners.find(event.external.port);
        REQUIRE(owner != owners.end());
        CHECK_EQ(owner->second, event.namespace_id);
        owners.erase(owner);
      }
    }
    std::map<std::uint16_t, NamespaceId> are;
    for (const auto& one : gateway.engine.port_blocks()) are[one.ports.first] = one.namespace_id;
    REQUIRE_EQ(owners, are);
  }
  CHECK_FALSE(owners.empty());
}

TEST_CASE("block_events: who does not ask for them is told none, and who is slow is told so") {
  Gateway gateway(in_blocks({32768, 40959}));
  Listener listener(gateway, {EventKind::mapping_made});
  open(gateway, blue, 1000);
  CHECK_EQ(listener.words(), Words{"mapping_made"});
  gateway.engine.listen(of_blocks, 16);
  for (std::uint32_t i = 0; i < 19 * 64; ++i) {
    open(gateway, green, static_cast<std::uint16_t>(1024 + i));
  }
  const auto told = listener.take();
  REQUIRE_EQ(told.size(), 17);
  CHECK_EQ(told.back().kind, EventKind::lost);
  CHECK_EQ(told.back().lost_kind, EventKind::block_taken);
  CHECK_EQ(told.back().count, 3);
  gateway.engine.stop_listening();
  open(gateway, plain, 1000);
  CHECK(listener.take().empty());
}

TEST_CASE("block_events: a pattern means a block by any of its ports") {
  Gateway gateway(in_blocks({40000, 40063}));
  Listener listener(gateway, of_blocks);
  open(gateway, green, 1000);
  const auto told = listener.take();
  REQUIRE_EQ(told.size(), 1);
  const auto means = [&](const SessionPattern& pattern) { return pattern.matches(told.front()); };
  CHECK(means({.namespaces = {{green, green}}}));
  CHECK_FALSE(means({.namespaces = {{blue, blue}}}));
  for (const PortRange& ports : {PortRange{39000, 40000}, PortRange{40007, 40007},
                                 PortRange{40063, 50000}, PortRange{1, 65535}}) {
    CHECK(means({.external = {.ports = ports}}));
  }
  CHECK_FALSE(means({.external = {.ports = {39000, 39999}}}));
  CHECK_FALSE(means({.external = {.ports = {40064, 50000}}}));
  CHECK_FALSE(means({.protocol = protocol::udp}));
}
