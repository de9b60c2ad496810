#include "engine/session/slab.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine/wire/family.h"
#include "tests/support/dice.h"
#include "tests/support/texts.h"

using namespace swnat;
using namespace swnat::test;

namespace {

struct Records {
  explicit Records(std::uint32_t capacity) : memory(capacity), links(capacity) {}

  std::vector<Session<Ipv4>> memory;
  std::uint32_t used = 0;
  Slab<Ipv4> slab{memory, used};
  LinkTable links;
};

}  // namespace

TEST_CASE("slab: gives every place once, and none beyond its capacity") {
  constexpr std::uint32_t capacity = 100;
  Records records(capacity);
  Slab<Ipv4>& slab = records.slab;
  LinkTable& links = records.links;
  std::vector<bool> given(capacity, false);
  std::vector<SessionRef> held;
  Dice random(6);
  for (int step = 0; step < 5000; ++step) {
    const bool fills = step % 1000 < 600;
    if (held.empty() || random() % 10 < (fills ? 7 : 3)) {
      const SessionRef ref = slab.allocate(links);
      REQUIRE_EQ(ref == no_session, held.size() == capacity);
      if (ref == no_session) continue;
      REQUIRE_LT(ref, capacity);
      REQUIRE_FALSE(given[ref]);
      given[ref] = true;
      held.push_back(ref);
    } else {
      const std::size_t chosen = random() % held.size();
      slab.free(held[chosen], links);
      given[held[chosen]] = false;
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(chosen));
    }
    REQUIRE_EQ(slab.count(), held.size());
    REQUIRE_GE(slab.used(), slab.count());
    REQUIRE_LE(slab.used(), capacity);
  }
}

TEST_CASE("slab: a place is a session from its commit until it is freed") {
  Records records(4);
  Slab<Ipv4>& slab = records.slab;
  LinkTable& links = records.links;
  const SessionRef ref = slab.allocate(links);
  CHECK_EQ(slab[ref].state, SessionState::free);
  slab.blank(ref).namespace_id = 7;
  CHECK_EQ(slab[ref].state, SessionState::free);
  slab.commit(ref, SessionState::udp);
  CHECK_EQ(slab[ref].state, SessionState::udp);
  CHECK_EQ(slab[ref].namespace_id, 7);
  slab.free(ref, links);
  CHECK_EQ(slab[ref].state, SessionState::free);
  CHECK_EQ(slab.count(), 0);
  REQUIRE_EQ(slab.allocate(links), ref);
  CHECK_EQ(slab.blank(ref).namespace_id, 0);
}

TEST_CASE("slab: records found in the memory are kept or dropped, and then as any others") {
  constexpr std::uint32_t capacity = 8;
  Records records(capacity);
  for (int i = 0; i < 5; ++i) records.slab.allocate(records.links);
  Slab<Ipv4> successor(records.memory, records.used);
  CHECK_EQ(successor.used(), 5);
  CHECK_EQ(successor.count(), 0);
  for (SessionRef ref = 0; ref < 5; ++ref) {
    if (ref % 2 == 0) {
      successor.keep();
    } else {
      successor.drop(ref, records.links);
    }
  }
  CHECK_EQ(successor.count(), 3);
  std::vector<SessionRef> given;
  for (int i = 0; i < 5; ++i) given.push_back(successor.allocate(records.links));
  std::sort(given.begin(), given.end());
  CHECK_EQ(given, std::vector<SessionRef>{1, 3, 5, 6, 7});
  CHECK_EQ(successor.allocate(records.links), no_session);
}

TEST_CASE("slab: a session's record is one cache line") {
  CHECK_EQ(sizeof(Session<Ipv4>), 64);
}
