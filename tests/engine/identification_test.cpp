#include "engine/fragments/identification.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <barrier>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/dice.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Secret secret{0x243f'6a88'85a3'08d3, 0x1319'8a2e'0370'7344, 0xa409'3822'299f'31d0,
                        0x082e'fa98'ec4e'6c89};
constexpr std::uint64_t endpoints = 0x4528'21e6'38d0'1377;

}  // namespace

TEST_CASE("identification: none comes again before all others have, zero among them") {
  Identifications identifications(secret);
  std::vector<bool> given(65'536, false);
  for (int i = 0; i < 65'536; ++i) {
    const std::uint16_t id = identifications.next(endpoints);
    REQUIRE_FALSE(given[id]);
    given[id] = true;
  }
  CHECK(given[0]);
}

TEST_CASE("identification: several at once are the caller's, also across the end of the numbers") {
  Identifications identifications(secret);
  Dice random(3);
  std::vector<int> given(65'536, 0);
  for (std::uint32_t total = 0; total < 65'536;) {
    const auto count = static_cast<std::uint16_t>(std::min(1 + random.below(64), 65'536 - total));
    const std::uint16_t first = identifications.next(endpoints, count);
    for (std::uint16_t i = 0; i < count; ++i) ++given[static_cast<std::uint16_t>(first + i)];
    total += count;
  }
  CHECK(std::ranges::all_of(given, [](int times) { return times == 1; }));
}

TEST_CASE("identification: other endpoints that share the counter make the cycle no wrong one") {
  // More endpoints than counters, so that many share.
  Identifications identifications(secret);
  Dice random(4);
  std::set<std::uint16_t> given;
  for (int i = 0; i < 500; ++i) {
    REQUIRE(given.insert(identifications.next(endpoints)).second);
    for (int others = 0; others < 400; ++others) {
      identifications.next(std::uint64_t{random()} << 32 | random());
    }
  }
}

TEST_CASE("identification: IPv6's are 32 bits wide and follow one another") {
  Identifications identifications(secret);
  const std::uint32_t first = identifications.next_wide(endpoints, 3);
  CHECK_EQ(identifications.next_wide(endpoints), first + 3);
  CHECK_EQ(identifications.next_wide(endpoints), first + 4);
  CHECK_GT(first, 0xffffU);
}

TEST_CASE("identification: where endpoints begin follows from the secret, not from each other") {
  std::set<std::uint16_t> by_secret;
  std::set<std::uint32_t> by_endpoints;
  std::set<std::uint32_t> steps;
  Identifications one(secret);
  for (std::uint64_t i = 0; i < 200; ++i) {
    Secret other = secret;
    other[2] += i;
    by_secret.insert(Identifications(other).next(endpoints));
    const std::uint32_t before = one.next_wide(endpoints + i);
    by_endpoints.insert(before);
    steps.insert(one.next_wide(endpoints + i + 1) - before);
  }
  CHECK_GE(by_secret.size(), 195);
  CHECK_EQ(by_endpoints.size(), 200);
  CHECK_GE(steps.size(), 195);
}

TEST_CASE("identification: threads never get the same one") {
  constexpr std::size_t threads = 4;
  constexpr std::size_t each = 200'000;
  Identifications identifications(secret);
  std::vector<std::vector<std::uint32_t>> given(threads, std::vector<std::uint32_t>(each));
  std::barrier start(threads);
  std::vector<std::thread> running;
  for (auto& own : given) {
    running.emplace_back([&] {
      start.arrive_and_wait();
      for (std::uint32_t& id : own) id = identifications.next_wide(endpoints);
    });
  }
  for (std::thread& thread : running) thread.join();
  std::vector<std::uint32_t> all;
  for (const auto& own : given) all.insert(all.end(), own.begin(), own.end());
  std::ranges::sort(all);
  CHECK(std::ranges::adjacent_find(all) == all.end());
}
