// External ports that somebody else uses: no session gets one while it is so.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <stdexcept>
#include <thread>

#include "tests/support/families.h"
#include "tests/support/port_takers.h"

using namespace swnat;
using namespace swnat::test;

namespace {

PortBits bits(std::initializer_list<std::uint16_t> ports) {
  PortBits all;
  for (const std::uint16_t port : ports) all.set(port);
  return all;
}

Policy of_ports(PortRange ports, Mapping mapping = Mapping::endpoint_independent) {
  Policy policy = policy_of_both();
  policy.ports = ports;
  policy.mapping = mapping;
  return policy;
}

}  // namespace

TEST_CASE("withheld: a port is parked while nobody has it, and free again afterwards") {
  for (const std::uint32_t shards : {1u, 8u}) {
    PortSpace space(PortRange{40000, 40015}, shards, true);
    for (const int port : {40003, 40004, 39999})
      space.withhold(static_cast<std::uint16_t>(port), true);
    CHECK(space.is_withheld(40003));
    CHECK_FALSE(space.is_withheld(39999));  // is not handed out anyway
    CHECK_EQ(space.free_count(), 14);
    const test::Ports taken = take_everything(space, 0);
    CHECK_EQ(taken.size(), 14);
    CHECK_EQ(std::ranges::count(taken, 40003), 0);
    CHECK_EQ(std::ranges::count(taken, 40004), 0);
    space.withhold(40003, false);
    space.withhold(40003, false);
    CHECK(space.take(0, 40000, 0, 0) == std::optional<std::uint16_t>(40003));
    // One that is taken is parked when it is released, rested or not.
    space.withhold(40003, true);
    space.withhold(40005, true);
    space.release(0, 40003, 0, Rest::full);
    space.release(0, 40005, 0, Rest::none);
    CHECK_EQ(space.free_count(), 0);
    CHECK_FALSE(space.take(0, 40003, 0, port_rest).has_value());
    space.withhold(40003, false);
    CHECK_EQ(space.free_count(), 1);
    // A resting one is parked too.
    CHECK(space.take_exactly(0, 40003));
    space.release(0, 40003, 0, Rest::full);
    space.withhold(40003, true);
    CHECK_FALSE(space.take(0, 40003, 0, port_rest).has_value());
  }
}

TEST_CASE("withheld: who must have this very port gets it, and it is parked again after") {
  PortSpace space(PortRange{40000, 40000}, 1, true);
  space.withhold(40000, true);
  CHECK(space.take_exactly(0, 40000));
  CHECK_FALSE(space.take_exactly(0, 40000));
  space.release(0, 40000, 0, Rest::none);
  CHECK_EQ(space.free_count(), 0);
  space.withhold(40000, false);
  CHECK_EQ(space.free_count(), 1);
}

TEST_CASE_TEMPLATE("withheld: no new mapping has the port, and a mapping does not move", F, V4,
                   V6) {
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const Mapping mapping :
         {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
      Gateway gateway(of_ports({40000, 40015}, mapping), options_of(4));
      gateway.engine.withhold(protocol, bits({40000, 40001, 40002}));
      const auto wanting = at(F::client(), 40000);
      const auto first = open<F>(gateway, protocol, blue, wanting, F::server());
      CHECK_NE(first.port, 40000);
      CHECK_NE(first.port, 40001);
      CHECK_NE(first.port, 40002);
      const auto kept = open<F>(gateway, protocol, blue, at(F::client(), 40010), F::server());
      CHECK_EQ(kept.port, 40010);
      // Other protocols have ports of their own.
      for (const std::uint8_t other : all_protocols) {
        if (other == protocol) continue;
        const auto one = open<F>(gateway, other, blue, wanting, F::server());
        const auto another = open<F>(gateway, other, green, wanting, F::server());
        CHECK((one.port == 40000 || another.port == 40000));
      }
      gateway.engine.withhold(protocol, bits({40010}));
      CHECK(answers<F>(gateway, protocol, F::server(), kept, blue, at(F::client(), 40010)));
      CHECK_EQ(open<F>(gateway, protocol, green, wanting, F::server()).port, 40000);
      gateway.travel(3h);
      for (int i = 0; i < 70; ++i) {
        gateway.expire_all();
        gateway.travel(1s);
      }
      REQUIRE_EQ(gateway.engine.session_count(), 0);
      gateway.travel(3min);
      CHECK_NE(open<F>(gateway, protocol, green, at(F::client(), 40010), F::server()).port, 40010);
      gateway.engine.withhold(protocol, {});
      CHECK_EQ(open<F>(gateway, protocol, green, at(F::neighbour(), 40010), F::server()).port,
               40010);
    }
  }
}

TEST_CASE("withheld: when nothing else is left there is no port, and a forward keeps its own") {
  Policy policy = of_ports({40000, 40000});
  Gateway gateway(policy);
  gateway.engine.withhold(protocol::udp, bits({40000}));
  CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::no_free_port);
  Policy forwarding = policy;
  forwarding.forwards = {{.protocol = protocol::udp,
                          .external = {external_host, 40000},
                          .namespace_id = blue,
                          .to = client}};
  gateway.set_policy(forwarding);
  CHECK(gateway.in(udp(server, {external_host, 40000})).accepted());
  gateway.set_policy(policy);
  CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::no_free_port);
  gateway.engine.withhold(protocol::udp, {});
  CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::translated_outbound);
  CHECK_THROWS_AS(gateway.engine.withhold(protocol::icmp, {}), std::invalid_argument);
}

TEST_CASE("withheld: while others take and release, no port is lost or had by two") {
  PortSpace space(PortRange{40000, 40063}, 4, true);
  std::atomic<bool> ends{false};
  std::vector<std::thread> workers;
  for (std::uint32_t shard = 0; shard < 4; ++shard) {
    workers.emplace_back([&, shard] {
      std::mt19937_64 random(shard);
      test::Ports own;
      while (!ends) {
        if (own.size() < 10) {
          const auto like = static_cast<std::uint16_t>(40000 + random() % 64);
          if (const auto port = space.take(shard, like, random(), 0)) own.push_back(*port);
        } else {
          for (const std::uint16_t port : own) space.release(shard, port, 0, Rest::none);
          own.clear();
        }
      }
      for (const std::uint16_t port : own) space.release(shard, port, 0, Rest::none);
    });
  }
  std::mt19937 random(9);
  for (int i = 0; i < 20'000; ++i) {
    space.withhold(static_cast<std::uint16_t>(40000 + random() % 64), random() % 2 == 0);
  }
  ends = true;
  for (std::thread& worker : workers) worker.join();
  for (std::uint16_t port = 40000; port < 40064; ++port) space.withhold(port, false);
  CHECK_EQ(space.free_count(), 64);
}
