#include "engine/port_pool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace swnat;

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
};

std::vector<std::uint16_t> take_all(PortPool& pool, std::mt19937_64& random) {
  std::vector<std::uint16_t> taken;
  while (const auto port = pool.take(static_cast<std::uint16_t>(random()), random())) {
    taken.push_back(*port);
    if (taken.size() > 70'000) break;
  }
  return taken;
}

bool is_taken_twice(std::vector<std::uint16_t> ports) {
  std::sort(ports.begin(), ports.end());
  return std::adjacent_find(ports.begin(), ports.end()) != ports.end();
}

}  // namespace

TEST_CASE("port_pool: the pools of all shards hand out every port of the range, each once") {
  for (const Case& c : ranges) {
    for (std::uint32_t shards = 1; shards <= 64; shards *= 2) {
      INFO(std::string(c.name));
      CAPTURE(shards);
      std::mt19937_64 random(shards);
      std::vector<std::uint16_t> all;
      for (std::uint32_t shard = 0; shard < shards; ++shard) {
        PortPool pool(c.range, shard, shards);
        const std::uint32_t promised = pool.free_count();
        const std::vector<std::uint16_t> taken = take_all(pool, random);
        CHECK_EQ(taken.size(), promised);
        CHECK_EQ(pool.free_count(), 0);
        CHECK(std::all_of(taken.begin(), taken.end(), [&](std::uint16_t port) {
          return shard_of_port(port, shards) == shard;
        }));
        all.insert(all.end(), taken.begin(), taken.end());
      }
      CHECK_EQ(all.size(), std::size_t{1} + c.range.last - c.range.first);
      CHECK_FALSE(is_taken_twice(all));
      CHECK(std::all_of(all.begin(), all.end(), [&](std::uint16_t port) {
        return port >= c.range.first && port <= c.range.last;
      }));
    }
  }
}

TEST_CASE("port_pool: a shard without ports in the range has none") {
  PortPool pool({40000, 40001}, 1, 64);  // both are shard 32's
  CHECK_EQ(pool.free_count(), 0);
  CHECK_FALSE(pool.take(40000, 0).has_value());
  CHECK_FALSE(pool.take_exactly(40000));
}

TEST_CASE("port_pool: pairs of an even port and the next odd one meet in one shard") {
  for (std::uint32_t shards = 1; shards <= 64; shards *= 2) {
    for (std::uint32_t port = 0; port < 65'536; port += 2) {
      const auto even = static_cast<std::uint16_t>(port);
      const auto odd = static_cast<std::uint16_t>(port + 1);
      if (shard_of_port(even, shards) != shard_of_port(odd, shards)) CHECK_EQ(even, odd);
    }
    CHECK_EQ(shard_of_port(2, shards), 1 % shards);
  }
}

TEST_CASE("port_pool: rfc4787_req4 parity is kept while such a port is left, then given up") {
  for (const std::uint16_t like : {std::uint16_t{5000}, std::uint16_t{5001}}) {
    for (const std::uint32_t shards : {1U, 4U}) {
      CAPTURE(like);
      CAPTURE(shards);
      const PortRange range{2000, 2999};
      PortPool pool(range, 0, shards);
      const std::uint32_t half = pool.free_count() / 2;
      std::mt19937_64 random(9);
      for (std::uint32_t i = 0; i < half; ++i) {
        const auto port = pool.take(like, random());
        REQUIRE(port.has_value());
        if (*port % 2 != like % 2) CHECK_EQ(*port % 2, like % 2);
      }
      for (std::uint32_t i = 0; i < half; ++i) {
        const auto port = pool.take(like, random());
        REQUIRE(port.has_value());
        if (*port % 2 == like % 2) CHECK_NE(*port % 2, like % 2);
      }
      CHECK_FALSE(pool.take(like, random()).has_value());
    }
  }
}

TEST_CASE("port_pool: a released port is free again, and the only one") {
  PortPool pool({1024, 65535}, 1, 2);
  std::mt19937_64 random(3);
  std::vector<std::uint16_t> taken = take_all(pool, random);
  for (int round = 0; round < 2000; ++round) {
    const std::uint16_t port = taken[random() % taken.size()];
    pool.release(port);
    const auto again = pool.take(static_cast<std::uint16_t>(random()), random());
    if (again != port) CHECK_EQ(again.value_or(0), port);
  }
  CHECK_FALSE(pool.take(0, random()).has_value());
}

TEST_CASE("port_pool: takes and releases in any order agree with a model") {
  for (const std::uint32_t shards : {1U, 8U}) {
    PortPool pool({1024, 3071}, shards / 2, shards);
    std::set<std::uint16_t> taken;
    std::mt19937_64 random(shards);
    const std::uint32_t total = pool.free_count();
    for (int step = 0; step < 20'000; ++step) {
      const bool fills = step % 6000 < 3500;  // alternately nearly full and nearly empty
      if (taken.empty() || random() % 10 < (fills ? 8 : 2)) {
        const auto port = pool.take(static_cast<std::uint16_t>(random()), random());
        REQUIRE_EQ(port.has_value(), taken.size() < total);
        if (port) REQUIRE(taken.insert(*port).second);
      } else {
        auto chosen = taken.lower_bound(static_cast<std::uint16_t>(1024 + random() % 2048));
        if (chosen == taken.end()) chosen = taken.begin();
        pool.release(*chosen);
        taken.erase(chosen);
      }
      REQUIRE_EQ(pool.free_count(), total - taken.size());
    }
  }
}

TEST_CASE("port_pool: take_exactly takes that port once, and only its own") {
  const PortRange range{40000, 40063};
  for (std::uint32_t shard = 0; shard < 4; ++shard) {
    PortPool pool(range, shard, 4);
    for (std::uint32_t port = 0; port < 65'536; ++port) {
      const auto exact = static_cast<std::uint16_t>(port);
      const bool own = port >= 40000 && port <= 40063 && shard_of_port(exact, 4) == shard;
      if (pool.take_exactly(exact) != own) CHECK_EQ(own, !own);
      if (own) CHECK_FALSE(pool.take_exactly(exact));
    }
    CHECK_EQ(pool.free_count(), 0);
    CHECK_FALSE(pool.take(0, 0).has_value());
  }
}

TEST_CASE("port_pool: a port taken exactly is not handed out") {
  PortPool pool({40000, 40007}, 0, 1);
  REQUIRE(pool.take_exactly(40004));
  std::mt19937_64 random(1);
  std::vector<std::uint16_t> taken = take_all(pool, random);
  CHECK_EQ(taken.size(), 7);
  CHECK_EQ(std::count(taken.begin(), taken.end(), 40004), 0);
  pool.release(40004);
  CHECK(pool.take_exactly(40004));
}

TEST_CASE("port_pool: rfc6056 first ports are spread over the whole range") {
  constexpr int draws = 20'000;
  constexpr int slices = 20;
  for (const std::uint32_t shards : {1U, 4U, 64U}) {
    CAPTURE(shards);
    std::map<std::uint16_t, int> seen;
    int by_slice[slices] = {};
    std::mt19937_64 random(17);
    PortPool pool({1024, 65535}, shards - 1, shards);
    for (int i = 0; i < draws; ++i) {
      const auto port = pool.take(static_cast<std::uint16_t>(i), random());
      REQUIRE(port.has_value());
      pool.release(*port);
      ++seen[*port];
      ++by_slice[(*port - 1024) * slices / (65'536 - 1024)];
    }
    // A slice expects 1,000 with a deviation of about 31.
    for (const int count : by_slice) {
      CHECK_GT(count, 800);
      CHECK_LT(count, 1200);
    }
    // So many different ones are drawn with replacement, if all are equally likely.
    const double possible = 64'512.0 / shards;
    const double expected = possible * (1 - std::exp(-draws / possible));
    CHECK_GT(static_cast<double>(seen.size()), 0.95 * expected);
  }
}
