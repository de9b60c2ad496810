#include "engine/ports/port_space.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>

#include "engine/base/hash.h"
#include "tests/support/port_takers.h"

using namespace swnat;
using namespace swnat::test;

namespace {

struct Case {
  const char* name;
  PortRange range;
};

const Case ranges[] = {
    {"one even port", {40000, 40000}},
    {"one odd port", {40001, 40001}},
    {"two ports", {40000, 40001}},
    {"two ports, odd first", {40001, 40002}},
    {"an odd number of ports", {2001, 2077}},
    {"across a word of the bitmap", {4095, 4225}},
    {"the default", {32768, 65535}},
    {"all above the well-known", {1024, 65535}},
    {"the very last port", {65535, 65535}},
    {"the very first port", {1, 1}},
    {"well-known ones only", {1, 1023}},
    {"the last of one class and the first of the other", {1023, 1024}},
    {"all", {1, 65535}},
};

}  // namespace

TEST_CASE("port_space: each shard can have every port of the range, its own first, each once") {
  for (const Case& c : ranges) {
    for (std::uint32_t shards = 1; shards <= 64; shards *= 2) {
      for (const bool has_classes : {true, false}) {
        INFO(std::string(c.name));
        CAPTURE(shards);
        CAPTURE(has_classes);
        PortSpace space(c.range, shards, has_classes);
        CHECK_EQ(space.free_count(), size_of(c.range));
        const std::uint32_t shard = shards / 2;
        const std::uint32_t own = space.free_count(shard);
        const Ports taken = take_everything(space, shard);
        CHECK_EQ(taken.size(), size_of(c.range));
        CHECK_EQ(space.free_count(), 0);
        CHECK_FALSE(is_taken_twice(taken));
        CHECK(std::ranges::all_of(taken, [&](auto port) { return is_in(c.range, port); }));
        CHECK(std::ranges::all_of(taken, [&](auto port) { return space.shard_of(port) == shard; }));
        const auto own_found = std::ranges::count_if(
            taken, [&](auto port) { return shard_of_port(port, shards) == shard; });
        CHECK_EQ(own_found, own);
      }
    }
  }
}

TEST_CASE("port_space: pairs of an even port and the next odd one meet in one shard") {
  for (std::uint32_t shards = 1; shards <= 64; shards *= 2) {
    const PortSpace space({1, 65535}, shards, true);
    for (std::uint32_t port = 0; port < 65'536; port += 2) {
      const auto even = static_cast<std::uint16_t>(port);
      const auto odd = static_cast<std::uint16_t>(port + 1);
      if (space.shard_of(even) != space.shard_of(odd)) CHECK_EQ(even, odd);
      if (space.shard_of(even) != port / 2 % shards) CHECK_EQ(space.shard_of(even), port);
    }
  }
}

TEST_CASE("port_space: a port is preserved while it is free") {
  for (const std::uint32_t shards : {1U, 8U}) {
    PortSpace space({1, 65535}, shards, true);
    for (std::uint32_t port = 1; port <= 65'535; ++port) {
      const auto like = static_cast<std::uint16_t>(port);
      const auto taken = space.take(shard_of_port(like, shards), like, port, 0);
      if (taken != like) CHECK_EQ(taken.value_or(0), like);
    }
    CHECK_FALSE(space.take(0, 5000, 0, 0).has_value());
  }
  PortSpace space({40000, 40999}, 4, true);
  REQUIRE_EQ(space.take(0, 40008, 7, 0), 40008);
  const auto another = space.take(0, 40008, 7, 0);
  REQUIRE(another.has_value());
  CHECK_NE(*another, 40008);
  space.release(0, 40008, 0, Rest::none);
  CHECK_EQ(space.take(0, 40008, 7, 0), 40008);
  // Another shard's is preserved too, by borrowing.
  CHECK_EQ(space.take(0, 40010, 7, 0), 40010);
  CHECK_EQ(space.shard_of(40010), 0);
}

TEST_CASE("port_space: rfc4787_req3 classes are kept, even if nothing is left") {
  const PortRange range{1000, 1099};  // 24 well-known ones
  for (const std::uint32_t shards : {1U, 4U, 64U}) {
    for (const std::uint16_t like :
         {std::uint16_t{22}, std::uint16_t{1023}, std::uint16_t{1024}, std::uint16_t{40001}}) {
      CAPTURE(shards);
      CAPTURE(like);
      PortSpace space(range, shards, true);
      const Ports taken = take_all(space, shards - 1, like);
      CHECK_EQ(taken.size(), is_well_known(like) ? 24 : 76);
      for (const std::uint16_t port : taken) CHECK_EQ(is_well_known(port), is_well_known(like));
      CHECK_EQ(space.free_count(), size_of(range) - taken.size());
    }
  }
}

TEST_CASE("port_space: a range without the class serves with the other") {
  for (const std::uint32_t shards : {1U, 4U}) {
    PortSpace high({32768, 32867}, shards, true);
    CHECK_EQ(take_all(high, 0, 22).size(), 100);
    PortSpace low({900, 999}, shards, true);
    CHECK_EQ(take_all(low, 0, 50000).size(), 100);
  }
}

TEST_CASE("port_space: identifiers have no classes") {
  for (const std::uint16_t like : {std::uint16_t{0}, std::uint16_t{22}, std::uint16_t{40001}}) {
    PortSpace space({1000, 1099}, 4, false);
    CHECK_EQ(take_all(space, 0, like).size(), 100);
  }
}

TEST_CASE("port_space: rfc4787_req4 own ports of the parity, own others, then borrowed alike") {
  for (const std::uint16_t like : {std::uint16_t{5000}, std::uint16_t{5001}}) {
    for (const std::uint32_t shards : {1U, 4U, 64U}) {
      CAPTURE(like);
      CAPTURE(shards);
      PortSpace space({2048, 3071}, shards, true);
      const std::uint32_t shard = shards - 1;
      const std::uint32_t own = 1024 / shards;
      const std::uint32_t ends[] = {own / 2, own, own + (1024 - own) / 2, 1024};
      std::mt19937_64 random(9);
      std::uint32_t i = 0;
      for (int quarter = 0; quarter < 4; ++quarter) {
        for (; i < ends[quarter]; ++i) {
          const auto port = space.take(shard, like, random(), 0);
          REQUIRE(port.has_value());
          REQUIRE_EQ(shard_of_port(*port, shards) == shard, quarter < 2);
          REQUIRE_EQ(*port % 2 == like % 2, quarter % 2 == 0);
        }
      }
      CHECK_FALSE(space.take(shard, like, random(), 0).has_value());
    }
  }
}

TEST_CASE("port_space: a shard without ports in the range borrows") {
  PortSpace space({40000, 40001}, 64, true);  // both are shard 32's
  CHECK_EQ(space.free_count(1), 0);
  CHECK_EQ(space.take(1, 5001, 0, 0), 40001);
  CHECK_EQ(space.shard_of(40001), 1);
  CHECK_EQ(space.shard_of(40000), 32);
  CHECK_EQ(space.take(2, 5001, 0, 0), 40000);
  CHECK_EQ(space.shard_of(40000), 2);
  CHECK_FALSE(space.take(32, 5001, 0, 0).has_value());
}

TEST_CASE("port_space: a borrowed port goes back to its own shard") {
  for (const Rest rest : {Rest::none, Rest::full}) {
    PortSpace space({40000, 40007}, 2, true);
    const Ports taken = take_all(space, 0, 0);
    REQUIRE_EQ(taken.size(), 8);
    for (const std::uint16_t port : taken) {
      CHECK_EQ(space.shard_of(port), 0);
      space.release(0, port, 0, rest);
      CHECK_EQ(space.shard_of(port), shard_of_port(port, 2));
    }
    const Tick later = rest == Rest::full ? port_rest : 0;
    for (int i = 0; i < 4; ++i) {
      const auto port = space.take(1, 0, 0, later);
      REQUIRE(port.has_value());
      CHECK_EQ(shard_of_port(*port, 2), 1);
    }
    CHECK_EQ(take_all(space, 0, 0, later).size(), 4);
  }
}

TEST_CASE("port_space: lenders are chosen at random") {
  std::map<std::uint32_t, int> lent;
  std::mt19937_64 random(4);
  for (int i = 0; i < 4000; ++i) {
    PortSpace space({40000, 40015}, 8, true);
    REQUIRE(space.take_exactly(3, 40006));
    REQUIRE(space.take_exactly(3, 40007));
    const auto port = space.take(3, 0, random(), 0);
    REQUIRE(port.has_value());
    ++lent[shard_of_port(*port, 8)];
  }
  REQUIRE_EQ(lent.size(), 7);
  for (const auto& [lender, count] : lent) {  // 571 expected, with a deviation of about 22
    CHECK_GT(count, 450);
    CHECK_LT(count, 700);
  }
}

TEST_CASE("port_space: the last port is found, wherever it is") {
  for (const std::uint32_t shards : {1U, 8U, 64U}) {
    PortSpace space({1024, 65535}, shards, true);
    const Ports taken = take_everything(space, 0);
    REQUIRE_EQ(taken.size(), 64'512);
    std::mt19937_64 random(3);
    for (int round = 0; round < 2000; ++round) {
      const std::uint16_t port = taken[random() % taken.size()];
      space.release(space.shard_of(port), port, 0, Rest::none);
      const auto shard = static_cast<std::uint32_t>(random() % shards);
      const auto again = space.take(shard, static_cast<std::uint16_t>(random()), random(), 0);
      if (again != port) CHECK_EQ(again.value_or(0), port);
      CHECK_EQ(space.shard_of(port), shard);
    }
    CHECK_FALSE(space.take(0, 5000, random(), 0).has_value());
  }
}

TEST_CASE("port_space: take_exactly takes any port once and makes the shard its owner") {
  const PortRange range{1000, 1255};
  PortSpace space(range, 4, true);
  CHECK_FALSE(space.take_exactly(0, 0));
  for (std::uint32_t port = 1; port < 65'536; ++port) {
    const auto exact = static_cast<std::uint16_t>(port);
    const std::uint32_t shard = port / 8 % 4;
    bool right = space.take_exactly(shard, exact) && space.shard_of(exact) == shard;
    for (const std::uint32_t other : {0U, 1U, 2U, 3U}) {
      right = right && !space.take_exactly(other, exact);
    }
    right = right && space.shard_of(exact) == shard;
    if (!right) CHECK_EQ(exact, 0);
  }
  CHECK_EQ(space.free_count(), 0);
  CHECK(take_everything(space, 0).empty());
}

TEST_CASE("port_space: a port of the range that was taken exactly is handed out once it is free") {
  PortSpace space({40000, 40007}, 2, true);
  REQUIRE(space.take_exactly(0, 40002));
  CHECK_EQ(space.free_count(), 7);
  Ports taken = take_all(space, 1, 0);
  CHECK_EQ(taken.size(), 7);
  CHECK_EQ(std::ranges::count(taken, 40002), 0);
  CHECK_FALSE(space.take_exactly(1, taken.front()));
  space.release(0, 40002, 50, Rest::full);
  CHECK_EQ(space.shard_of(40002), 1);
  CHECK_FALSE(space.take(0, 0, 0, 50).has_value());
  CHECK_EQ(space.take(0, 0, 0, 50 + port_rest), 40002);
}

TEST_CASE("port_space: a port outside the range goes nowhere when it is released") {
  PortSpace space({40000, 40001}, 2, true);
  for (const std::uint16_t port :
       {std::uint16_t{80}, std::uint16_t{39999}, std::uint16_t{40002}, std::uint16_t{65535}}) {
    for (const std::uint32_t shard : {0U, 1U}) {
      REQUIRE(space.take_exactly(shard, port));
      CHECK_EQ(space.shard_of(port), shard);
      space.release(shard, port, 0, shard == 0 ? Rest::full : Rest::none);
      CHECK_EQ(space.shard_of(port), shard_of_port(port, 2));
      CHECK_NE(space.take(0, port, 0, port_rest), port);
      take_everything(space, 0, port_rest);
      for (const std::uint16_t own : {std::uint16_t{40000}, std::uint16_t{40001}}) {
        space.release(0, own, port_rest, Rest::none);
      }
    }
  }
  CHECK_EQ(space.free_count(), 2);
}

TEST_CASE("port_space: rfc6056 first ports are spread over the whole range") {
  constexpr int draws = 20'000;
  constexpr int slices = 20;
  for (const PortRange range : {PortRange{1024, 65535}, PortRange{32768, 65535}}) {
    for (const std::uint32_t shards : {1U, 4U, 64U}) {
      CAPTURE(range.first);
      CAPTURE(shards);
      std::map<std::uint16_t, int> seen;
      int by_slice[slices] = {};
      std::mt19937_64 random(17);
      PortSpace space(range, shards, true);
      for (int i = 0; i < draws; ++i) {
        const auto like = static_cast<std::uint16_t>(i % 1000);  // not to be preserved
        const auto port = space.take(shards - 1, like, random(), 0);
        REQUIRE(port.has_value());
        space.release(shards - 1, *port, 0, Rest::none);
        ++seen[*port];
        ++by_slice[(*port - range.first) * slices / static_cast<int>(size_of(range))];
      }
      // A slice expects 1,000 with a deviation of about 31.
      for (const int count : by_slice) {
        CHECK_GT(count, 800);
        CHECK_LT(count, 1200);
      }
      // So many different ones are drawn with replacement, if all are equally likely.
      const double possible = static_cast<double>(size_of(range)) / shards;
      const double expected = possible * (1 - std::exp(-draws / possible));
      CHECK_GT(static_cast<double>(seen.size()), 0.95 * expected);
    }
  }
}

TEST_CASE("port_space: rfc6056 ports follow from the secret") {
  const auto order = [](std::uint64_t seed) {
    std::mt19937_64 words(seed);
    Secret secret;
    for (std::uint64_t& word : secret) word = words();
    PortSpace space({1024, 65535}, 4, true);
    Random random(secret);
    Ports ports;
    for (int i = 0; i < 1000; ++i) ports.push_back(*space.take(1, 22, random.next(), 0));
    return ports;
  };
  const Ports one = order(1);
  CHECK_EQ(one, order(1));
  const Ports other = order(2);
  std::size_t agree = 0;
  for (std::size_t i = 0; i < one.size(); ++i) agree += one[i] == other[i];
  CHECK_LT(agree, 10);
}
