// External ports that are several ranges (RFC 6888 REQ-3: pools may have gaps).
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <stdexcept>

#include "tests/support/gateway.h"
#include "tests/support/port_takers.h"

using namespace swnat;
using namespace swnat::test;

namespace {

using Ranges = std::vector<PortRange>;

const Ranges cases[] = {
    {{20000, 29999}, {40000, 65535}},
    {{40000, 40000}, {40002, 40002}},  // one parity only
    {{40000, 40001}, {40003, 40003}, {40006, 40010}},
    {{1, 1}, {65535, 65535}},
    {{1000, 1030}, {1040, 1040}, {64000, 64001}},
    {{100, 200}, {300, 301}, {1023, 1024}},
};

test::Ports all_of(const PortRanges& ranges) {
  test::Ports all;
  for (std::uint32_t port = 1; port <= 65'535; ++port) {
    if (ranges.contains(static_cast<std::uint16_t>(port))) {
      all.push_back(static_cast<std::uint16_t>(port));
    }
  }
  return all;
}

test::Ports sorted(test::Ports ports) {
  std::ranges::sort(ports);
  return ports;
}

}  // namespace

TEST_CASE("port_ranges: sorted, and those that touch are one") {
  const PortRanges ranges(Ranges{{500, 600}, {100, 200}, {201, 300}});
  CHECK(ranges.ranges() == Ranges{{100, 300}, {500, 600}});
  CHECK(ranges.envelope() == PortRange{100, 600});
  CHECK(ranges.has_gaps());
  CHECK(ranges.contains(300));
  CHECK_FALSE(ranges.contains(301));
  CHECK(ranges.is_valid());
  CHECK(PortRanges(Ranges{{1, 9}, {10, 20}}) == PortRange{1, 20});
  CHECK_FALSE(PortRanges(Ranges{{100, 200}, {200, 300}}).is_valid());
  CHECK_FALSE(PortRanges(Ranges{{100, 500}, {200, 300}}).is_valid());
  CHECK_FALSE(PortRanges(Ranges{}).is_valid());
  CHECK_FALSE(PortRanges(Ranges{{0, 5}}).is_valid());
  Ranges many;
  for (std::uint16_t i = 0; i < 65; ++i) {
    many.push_back(
        {static_cast<std::uint16_t>(100 + 2 * i), static_cast<std::uint16_t>(100 + 2 * i)});
  }
  CHECK_FALSE(PortRanges(many).is_valid());
  many.pop_back();
  CHECK(PortRanges(many).is_valid());
}

TEST_CASE("port_space: every port of the ranges is handed out once, and none between them") {
  for (const Ranges& ranges : cases) {
    for (std::uint32_t shards = 1; shards <= 64; shards *= 4) {
      for (const bool has_classes : {true, false}) {
        const PortRanges ports(ranges);
        PortSpace space(ports, shards, has_classes);
        CHECK_EQ(space.free_count(), all_of(ports).size());
        const test::Ports taken = take_everything(space, shards / 2);
        CHECK_EQ(sorted(taken), all_of(ports));
        CHECK_EQ(space.free_count(), 0);
        for (const std::uint16_t port : taken) space.release(shards / 2, port, 0, Rest::none);
        CHECK_EQ(space.free_count(), all_of(ports).size());
        // A port between them is a forward's, and is not handed out after it.
        const std::uint16_t between = static_cast<std::uint16_t>(ranges[0].last + 1);
        CHECK(space.take_exactly(0, between));
        CHECK_FALSE(space.take_exactly(0, between));
        space.release(0, between, 0, Rest::full);
        CHECK_EQ(sorted(take_everything(space, 0)), all_of(ports));
      }
    }
  }
}

TEST_CASE("port_space: what follows a gap is as hard to guess as the rest") {
  const PortRanges ports(Ranges{{2000, 2999}, {60'000, 60'999}});
  std::mt19937_64 random(1);
  std::map<std::uint16_t, int> first;
  constexpr int rounds = 2000;
  int low = 0;
  for (int i = 0; i < rounds; ++i) {
    PortSpace space(ports, 4, true);
    const auto port = space.take(1, 10'000, random(), 0);
    REQUIRE(port);
    ++first[*port];
    low += *port < 3000;
  }
  for (const auto& [port, count] : first) CHECK_LT(count, rounds / 20);
  CHECK_GT(low, rounds / 3);
  CHECK_LT(low, rounds * 2 / 3);
}

TEST_CASE("port_gaps: an engine uses all ports of all ranges, with either mapping") {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    for (const std::uint32_t shards : {1u, 4u}) {
      Policy policy = roomy_policy();
      policy.mapping = mapping;
      policy.ports = PortRanges(Ranges{{40000, 40007}, {40016, 40023}, {40100, 40107}});
      Gateway gateway(policy, options_of(shards));
      std::set<std::uint16_t> used;
      // 24 internal ports of the same shards as the external ones.
      for (std::uint16_t port = 10'000; port < 10'024; ++port) {
        used.insert(gateway.open(protocol::udp, blue, at(client, port), server).port);
      }
      CHECK_EQ(used.size(), 24);
      CHECK(std::ranges::all_of(used, [&](auto port) { return policy.ports.contains(port); }));
      CHECK_EQ(gateway.out(green, udp(client, server)).reason, Reason::no_free_port);
      CHECK_EQ(gateway.in(udp(server, {external_host, 40010})).reason, Reason::no_mapping);
    }
  }
}

TEST_CASE("port_gaps: the ranges are fixed for an engine's life, and must be apart") {
  Policy policy = roomy_policy();
  policy.ports = PortRanges(Ranges{{40000, 40007}, {40016, 40023}});
  Gateway gateway(policy);
  gateway.set_policy(policy);
  Policy other = policy;
  other.ports = PortRanges(Ranges{{40000, 40007}, {40015, 40023}});
  CHECK_THROWS_AS(gateway.set_policy(other), std::invalid_argument);
  other.ports = PortRanges(Ranges{{40000, 40017}, {40016, 40023}});
  CHECK_THROWS_AS(Gateway{other}, std::invalid_argument);
}
