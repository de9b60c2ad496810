// The index, against a map of the standard library.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/session/session_index.h"

using namespace swnat;

namespace {

using Model = std::multimap<std::uint64_t, SessionRef>;

template <class Table>
bool finds(Table& index, std::uint64_t hash, SessionRef ref) {
  return index.find(hash, [ref](SessionRef other) { return other == ref; }) == ref;
}

using Erased = std::vector<std::pair<std::uint64_t, SessionRef>>;

// Every entry of the model is found, and none that was erased: no reference is used twice.
template <class Table>
void check_same(Table& index, const Model& model, const Erased& erased) {
  std::size_t lost = 0;
  for (const auto& [hash, ref] : model) lost += finds(index, hash, ref) ? 0U : 1U;
  CHECK_EQ(lost, 0);
  std::size_t left = 0;
  for (const auto& [hash, ref] : erased) left += finds(index, hash, ref) ? 1U : 0U;
  CHECK_EQ(left, 0);
}

// How hashes are drawn: what collides with what.
struct Case {
  const char* name;
  std::uint64_t (*hash)(std::mt19937_64&);
};

const Case hashings[] = {
    {"spread", [](std::mt19937_64& random) { return random(); }},
    {"all the same", [](std::mt19937_64&) { return std::uint64_t{0x1234'5678'9abc'def0}; }},
    {"tag 0", [](std::mt19937_64&) { return std::uint64_t{0x1234'5678'0000'0000}; }},
    {"same first bucket", [](std::mt19937_64& random) { return random() & 0xffff; }},
    {"same last bucket",
     [](std::mt19937_64& random) { return 0xffff'ffff'0000'0000 | (random() & 0xffff); }},
    {"few buckets, few tags",
     [](std::mt19937_64& random) { return (random() & 0xe000'0000'0000'0000) | (random() & 3); }},
    {"tags that differ in one bit",
     [](std::mt19937_64& random) { return std::uint64_t{1} << (random() % 16); }},
};

}  // namespace

TEST_CASE_TEMPLATE("index: random inserts, erasures and replacements agree with a multimap", Table,
                   Index, SessionIndex) {
  for (const Case& c : hashings) {
    INFO(std::string(c.name));
    constexpr std::uint32_t entries_max = 500;
    Table index(entries_max);
    Model model;
    Erased erased;
    std::mt19937_64 random(23);
    SessionRef next_ref = 0;
    for (int step = 0; step < 8000; ++step) {
      const bool fills = step % 3000 < 2000;
      const std::uint64_t dice = random() % 10;
      if (model.empty() || (dice < (fills ? 6 : 2) && model.size() < entries_max)) {
        const std::uint64_t hash = c.hash(random);
        index.insert(hash, next_ref);
        model.emplace(hash, next_ref++);
        continue;
      }
      auto chosen = model.lower_bound(c.hash(random));
      if (chosen == model.end()) chosen = model.begin();
      std::advance(chosen, random() % std::min<std::size_t>(3, model.size()) %
                               static_cast<std::size_t>(std::distance(chosen, model.end())));
      const auto [hash, ref] = *chosen;
      REQUIRE(finds(index, hash, ref));
      erased.emplace_back(hash, ref);
      if (dice == 9) {
        REQUIRE(index.replace(hash, ref, next_ref));
        chosen->second = next_ref++;
      } else {
        REQUIRE(index.erase(hash, ref));
        model.erase(chosen);
      }
      if (step % 1000 == 999) check_same(index, model, erased);
    }
    check_same(index, model, erased);
  }
}

TEST_CASE_TEMPLATE("index: at full load every entry is found, and after erasing all none", Table,
                   Index, SessionIndex) {
  for (const Case& c : hashings) {
    INFO(std::string(c.name));
    for (const std::uint32_t entries_max : {1U, 2U, 10U, 11U, 640U, 2000U}) {
      CAPTURE(entries_max);
      Table index(entries_max);
      std::mt19937_64 random(entries_max);
      std::vector<std::uint64_t> hashes;
      for (SessionRef ref = 0; ref < entries_max; ++ref) {
        hashes.push_back(c.hash(random));
        index.insert(hashes.back(), ref);
      }
      for (SessionRef ref = 0; ref < entries_max; ++ref) {
        if (!finds(index, hashes[ref], ref)) CHECK_MESSAGE(false, "lost ", ref);
      }
      for (SessionRef ref = 0; ref < entries_max; ++ref) REQUIRE(index.erase(hashes[ref], ref));
      for (SessionRef ref = 0; ref < entries_max; ++ref) {
        if (finds(index, hashes[ref], ref)) CHECK_MESSAGE(false, "still there: ", ref);
      }
    }
  }
}

TEST_CASE("index: what is not there is not found, erased or replaced") {
  Index index(100);
  CHECK_FALSE(finds(index, 77, 1));
  CHECK_FALSE(index.erase(77, 1));
  CHECK_FALSE(index.replace(77, 1, 2));
  index.insert(77, 1);
  CHECK_FALSE(index.erase(77, 2));
  CHECK_FALSE(index.replace(77, 2, 3));
  CHECK_EQ(index.find(77, [](SessionRef) { return false; }), no_session);
  CHECK(index.erase(77, 1));
  CHECK_FALSE(index.erase(77, 1));
}

TEST_CASE("index: one erasure removes one of two equal entries") {
  Index index(100);
  index.insert(77, 1);
  index.insert(77, 1);
  CHECK(index.erase(77, 1));
  CHECK(finds(index, 77, 1));
  CHECK(index.erase(77, 1));
  CHECK_FALSE(finds(index, 77, 1));
}

TEST_CASE("index: a search asks for every session of the hash until one is wanted") {
  Index index(64);
  for (SessionRef ref = 0; ref < 40; ++ref) index.insert(0xabcd'0000'0000'1234, ref);
  std::vector<bool> asked(40, false);
  CHECK_EQ(index.find(0xabcd'0000'0000'1234,
                      [&](SessionRef ref) {
                        asked[ref] = true;
                        return false;
                      }),
           no_session);
  CHECK_EQ(std::count(asked.begin(), asked.end(), true), 40);
}

TEST_CASE("index: an entry beyond a full bucket is found after that bucket has room again") {
  Index index(200);
  constexpr std::uint64_t hash = 0x4000'0000'0000'0000;
  for (SessionRef ref = 0; ref < 25; ++ref) index.insert(hash | (ref + 1), ref);
  for (SessionRef ref = 0; ref < 24; ++ref) {
    REQUIRE(index.erase(hash | (ref + 1), ref));
    REQUIRE(finds(index, hash | 25, 24));
  }
  REQUIRE(index.erase(hash | 25, 24));
  CHECK_FALSE(finds(index, hash | 25, 24));
}

TEST_CASE("index: a candidate is an entry of the home bucket or nothing") {
  Index index(100);
  constexpr std::uint64_t hash = 0x8000'0000'0000'0042;
  CHECK_EQ(index.candidate(hash), no_session);
  index.insert(hash, 9);
  CHECK_EQ(index.candidate(hash), 9);
  CHECK_EQ(index.candidate(hash + 1), no_session);
}

TEST_CASE("session_index: an entry that is still noted down can be erased and replaced") {
  SessionIndex index(1000);
  std::mt19937_64 random(5);
  for (SessionRef ref = 0; ref < 300; ++ref) {
    CAPTURE(ref);
    const std::uint64_t erased = random();
    const std::uint64_t replaced = random();
    index.insert(erased, ref);
    CHECK(index.erase(erased, ref));
    index.insert(replaced, ref);
    CHECK(index.replace(replaced, ref, ref + 1000));
    CHECK(finds(index, replaced, ref + 1000));
    CHECK_FALSE(finds(index, erased, ref));
  }
}
