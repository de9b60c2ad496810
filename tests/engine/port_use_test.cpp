// How many external ports are used, rest, are withheld and are free.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "tests/support/families.h"
#include "tests/support/port_takers.h"

using namespace swnat;
using namespace swnat::test;

namespace {

struct Wanted {
  std::uint32_t used = 0;
  std::uint32_t resting = 0;
  std::uint32_t withheld = 0;
  std::uint32_t free = 0;
};

void check(const Gateway& gateway, const IpAddress& external, std::uint8_t protocol,
           const Wanted& wanted) {
  std::optional<PortUse> found;
  for (const PortUse& one : gateway.engine.ports(gateway.now)) {
    if (one.external != external || one.protocol != protocol) continue;
    CHECK_FALSE(found.has_value());
    found = one;
  }
  REQUIRE(found.has_value());
  CHECK_EQ(found->used, wanted.used);
  CHECK_EQ(found->resting, wanted.resting);
  CHECK_EQ(found->withheld, wanted.withheld);
  CHECK_EQ(found->free, wanted.free);
}

Policy of_ports(const PortRanges& ports) {
  Policy policy = policy_of_both();
  policy.ports = ports;
  return policy;
}

}  // namespace

TEST_CASE("port_use: of any ranges and shards, each port is counted once") {
  const PortRanges ranges[] = {PortRange{40001, 40014}, PortRange{1, 65535},
                               PortRanges({{5, 5}, {1000, 1100}, {40000, 40002}})};
  for (const PortRanges& ports : ranges) {
    for (const std::uint32_t shards : {1u, 4u, 64u}) {
      for (const bool has_classes : {true, false}) {
        PortSpace space(ports, shards, has_classes);
        const std::uint32_t all = space.use(0).free;
        CHECK_EQ(all, space.free_count());
        const auto taken = take_everything(space, 0);
        CHECK_EQ(taken.size(), all);
        CHECK_EQ(space.use(0).used, all);
        CHECK_EQ(space.use(0).free, 0);
      }
    }
  }
}

TEST_CASE("port_use: a port that has rested is free, looked for or not") {
  PortSpace space(PortRange{40000, 40063}, 4, true);
  auto taken = take_everything(space, 0);
  std::ranges::sort(taken);
  for (const std::uint16_t port : taken) {
    space.release(0, port, static_cast<Tick>(port - 40000), PortSpace::Rest::full);
  }
  CHECK_EQ(space.use(63).resting, 64);
  CHECK_EQ(space.use(port_rest + 9).resting, 54);
  CHECK_EQ(space.use(port_rest + 9).free, 10);
  CHECK_EQ(space.use(port_rest + 63).free, 64);
}

TEST_CASE_TEMPLATE("port_use: by address and protocol, as sessions come and go", F, V4, V6) {
  for (const std::uint32_t shards : {1u, 8u}) {
    Gateway gateway(of_ports({40000, 40099}), options_of(shards));
    const IpAddress external = F::external();
    CHECK_EQ(gateway.engine.ports(gateway.now).size(), 6);
    for (const std::uint8_t protocol : {protocol::tcp, protocol::udp, F::icmp}) {
      check(gateway, external, protocol, {.free = 100});
      open<F>(gateway, protocol, blue, F::client(), F::server());
      open<F>(gateway, protocol, blue, F::client(), F::stranger());
      open<F>(gateway, protocol, green, F::client(), F::server());
      check(gateway, external, protocol, {.used = 2, .free = 98});
    }
    gateway.end_all();
    check(gateway, external, protocol::udp, {.resting = 2, .free = 98});
    gateway.travel(2min);
    check(gateway, external, protocol::udp, {.free = 100});
    PortBits somebodys;
    somebodys.set(40007);
    somebodys.set(39999);
    gateway.engine.withhold(protocol::udp, somebodys);
    check(gateway, external, protocol::udp, {.withheld = 1, .free = 99});
    check(gateway, external, protocol::tcp, {.free = 100});
  }
}

TEST_CASE("port_use: a forward's port is used, with or without sessions; not one of other ports") {
  Policy policy = of_ports({40000, 40099});
  for (const std::uint16_t port : {std::uint16_t{40080}, std::uint16_t{80}}) {
    policy.forwards.push_back({.protocol = protocol::tcp,
                               .external = IpEndpoint{external_host, port},
                               .namespace_id = blue,
                               .to = IpEndpoint{neighbour.address, port}});
  }
  Gateway gateway(policy, options_of(4));
  check(gateway, external_host, protocol::tcp, {.used = 1, .free = 99});
  check(gateway, external_host, protocol::udp, {.free = 100});
}

TEST_CASE("port_use: the ports of a block that rests do, as far as they may be handed out") {
  Policy policy = of_ports({40010, 40127});
  policy.namespaces = {{.first = blue, .last = green, .session_limit = 100, .port_block = 64}};
  Gateway gateway(policy, options_of(4));
  // 40000 and 40064 are where blocks of 64 begin.
  const bool is_first = gateway.open(protocol::udp, blue, client, server).port < 40064;
  check(gateway, external_host, protocol::udp, {.used = 1, .free = 117});
  gateway.end_all();
  const std::uint32_t of_block = is_first ? 54 : 64;
  for (const std::uint8_t protocol : all_protocols) {
    check(gateway, external_host, protocol, {.resting = of_block, .free = 118 - of_block});
  }
}
