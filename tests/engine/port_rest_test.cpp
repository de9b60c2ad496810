// Ports that rest after their session.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

#include "engine/ports/port_set.h"
#include "tests/support/port_takers.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// Ticks around which they wrap, among others.
const Tick starts[] = {0, 1'000'000, 0x7fff'ffff, 0xffff'ffff, 0xffff'0000};

}  // namespace

TEST_CASE("port_rest: rfc6888_req8 a released port rests for two minutes, to the tick") {
  CHECK_EQ(port_rest, 120'000);
  for (const Tick start : starts) {
    for (const std::uint32_t taker : {0U, 1U}) {  // of two shards: its own, and borrowed
      CAPTURE(start);
      CAPTURE(taker);
      PortSpace space({40000, 40000}, 2, true);
      REQUIRE_EQ(space.take(0, 5000, 0, start), 40000);
      space.release(0, 40000, start, Rest::full);
      CHECK_EQ(space.free_count(), 0);
      for (const Tick rested : {0u, 1u, 60'000u, 119'999u}) {
        CHECK_FALSE(space.take(taker, 5000, 0, start + rested).has_value());
        CHECK_FALSE(space.take(taker, 40000, 0, start + rested).has_value());
      }
      CHECK_EQ(space.take(taker, 5000, 0, start + 120'000), 40000);
      // And when it is asked for by name.
      space.release(taker, 40000, start + 120'000, Rest::full);
      CHECK_FALSE(space.take(taker, 40000, 0, start + 239'999).has_value());
      CHECK_EQ(space.take(taker, 40000, 0, start + 240'000), 40000);
    }
  }
}

TEST_CASE("port_rest: a port that need not rest is free at once") {
  PortSpace space({40000, 40000}, 1, true);
  REQUIRE(space.take(0, 0, 0, 5).has_value());
  space.release(0, 40000, 5, Rest::none);
  CHECK_EQ(space.free_count(), 1);
  CHECK_EQ(space.take(0, 0, 0, 5), 40000);
}

TEST_CASE("port_rest: a port whose rest began weeks ago is due") {
  constexpr Tick day = 24 * 3600 * 1000;
  for (const Tick days : {1u, 24u, 25u, 30u, 49u}) {
    CAPTURE(days);
    PortSpace space({40000, 40001}, 1, true);
    for (int i = 0; i < 2; ++i) REQUIRE(space.take(0, 40000, 0, 7).has_value());
    for (const std::uint16_t port : Ports{40000, 40001}) space.release(0, port, 7, Rest::full);
    CHECK_EQ(space.take(0, 40000, 0, 7 + days * day), 40000);
    CHECK_EQ(space.take(0, 40000, 0, 7 + days * day), 40001);
  }
}

TEST_CASE("port_rest: no rest is shortened by a clock that is behind") {
  PortSpace space({40000, 40004}, 1, true);
  for (const std::uint16_t port : Ports{40000, 40002, 40004}) {
    REQUIRE_EQ(space.take(0, port, 0, 1000), port);
  }
  REQUIRE_EQ(take_all(space, 0, 1).size(), 2);
  space.release(0, 40002, 1000, Rest::full);
  space.release(0, 40000, 990, Rest::full);
  space.release(0, 40004, 1010, Rest::full);
  CHECK_FALSE(space.take(0, 40002, 0, 990).has_value());  // before the rest began
  CHECK_FALSE(space.take(0, 0, 0, 120'999).has_value());
  std::set<std::uint16_t> taken;
  for (int i = 0; i < 2; ++i) taken.insert(space.take(0, 0, 0, 121'000).value_or(0));
  CHECK_EQ(taken, std::set<std::uint16_t>{40000, 40002});
  CHECK_FALSE(space.take(0, 0, 0, 121'009).has_value());
  CHECK_EQ(space.take(0, 0, 0, 121'010), 40004);
}

TEST_CASE("port_rest: a rested port goes before one of the other parity, or another shard's") {
  for (const std::uint32_t shards : {1U, 2U}) {
    PortSpace space({40000, 40007}, shards, true);
    Ports even;
    for (std::uint32_t i = 0; i < 4 / shards; ++i) even.push_back(*space.take(0, 0, i, 0));
    for (const std::uint16_t port : even) space.release(0, port, 0, Rest::full);
    const auto unlike = space.take(0, 0, 0, port_rest - 1);
    REQUIRE(unlike.has_value());
    CHECK_EQ(*unlike % 2, 1);
    for (std::size_t i = 0; i < even.size(); ++i) {
      const auto port = space.take(0, 0, 0, port_rest);
      CHECK_EQ(std::ranges::count(even, port), 1);
    }
  }
}

TEST_CASE("port_rest: all that rested come back, however many and whoever asks") {
  const PortRange range{1024, 65535};
  for (const std::uint32_t shards : {1U, 4U}) {
    PortSpace space(range, shards, true);
    Ports taken = take_everything(space, 0);
    std::shuffle(taken.begin(), taken.end(), std::mt19937(5));
    for (const std::uint16_t port : taken) space.release(0, port, 100, Rest::full);
    CHECK_FALSE(space.take(0, 0, 0, 100).has_value());
    const Ports again = take_all(space, shards - 1, 8080, 100 + port_rest);
    CHECK_EQ(again.size(), size_of(range));
    CHECK_FALSE(is_taken_twice(again));
  }
}

TEST_CASE("port_rest: take_exactly takes resting ports, from anywhere in the list") {
  const Ports ports{40000, 40002, 40004, 40006};
  for (const std::uint16_t exact : ports) {
    CAPTURE(exact);
    PortSpace space({40000, 40006}, 1, false);
    REQUIRE_EQ(take_all(space, 0, 0).size(), 7);
    for (Tick i = 0; i < 4; ++i) space.release(0, ports[i], i, Rest::full);
    CHECK(space.take_exactly(0, exact));
    CHECK_FALSE(space.take_exactly(0, exact));
    space.release(0, exact, 10, Rest::full);
    for (Tick i = 0; i < 4; ++i) {  // the others when they are due, and it when it is
      if (ports[i] == exact) continue;
      CHECK_FALSE(space.take(0, 0, 0, i + port_rest - 1).has_value());
      CHECK_EQ(space.take(0, 0, 0, i + port_rest), ports[i]);
    }
    CHECK_FALSE(space.take(0, 0, 0, 9 + port_rest).has_value());
    CHECK_EQ(space.take(0, 0, 0, 10 + port_rest), exact);
  }
}
