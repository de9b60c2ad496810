#include "engine/activity.h"

#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "engine/family.h"
#include "tests/unit/dice.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// A shard's sessions as the activity list knows them, and what the answer must be.
class Sessions {
 public:
  explicit Sessions(std::uint32_t capacity) : records_(capacity), links_(capacity) {}

  void add(std::uint32_t slot, Tick now) {
    const SessionRef ref = slab_.allocate(links_);
    REQUIRE_NE(ref, no_session);
    Session<Ipv4> session{};
    session.state = SessionState::udp;
    session.last_active = now;
    slab_.commit(ref, session);
    activity_.add(links_, ref, slot, now);
    model_[slot][ref] = now;
  }

  void touch(std::uint32_t slot, std::uint32_t which, Tick now) {
    auto& sessions = model_[slot];
    if (sessions.empty()) return;
    auto chosen = sessions.begin();
    std::advance(chosen, which % sessions.size());
    chosen->second = now;
    slab_[chosen->first].last_active = now;
  }

  void remove(std::uint32_t slot, SessionRef ref) {
    activity_.remove(links_, ref);
    slab_.free(ref, links_);
    model_[slot].erase(ref);
  }

  void remove_any(std::uint32_t slot, std::uint32_t which) {
    auto& sessions = model_[slot];
    if (sessions.empty()) return;
    auto chosen = sessions.begin();
    std::advance(chosen, which % sessions.size());
    remove(slot, chosen->first);
  }

  SessionRef oldest(std::uint32_t slot) { return activity_.oldest(links_, slab_, slot); }

  // The answer is a session that no other was active before.
  void check_oldest(std::uint32_t slot, Tick now) {
    const SessionRef ref = oldest(slot);
    const auto& sessions = model_[slot];
    REQUIRE_EQ(ref == no_session, sessions.empty());
    if (ref == no_session) return;
    REQUIRE(sessions.contains(ref));
    for (const auto& [other, last_active] : sessions) {
      REQUIRE_GE(elapsed(sessions.at(ref), now), elapsed(last_active, now));
    }
  }

  std::size_t count(std::uint32_t slot) { return model_[slot].size(); }

 private:
  std::vector<Session<Ipv4>> records_;
  std::uint32_t used_ = 0;
  Slab<Ipv4> slab_{records_, used_};
  LinkTable links_;
  Activity<Ipv4> activity_;
  std::map<std::uint32_t, std::map<SessionRef, Tick>> model_;
};

}  // namespace

TEST_CASE("activity: an empty namespace has no oldest session") {
  Sessions sessions(1);
  CHECK_EQ(sessions.oldest(0), no_session);
  CHECK_EQ(sessions.oldest(max_namespaces - 1), no_session);
}

TEST_CASE("activity: the oldest is exactly the least recently active, under random traffic") {
  for (const Tick start : {Tick{1}, Tick{0xffff'f000}, Tick{0x7fff'f000}}) {
    CAPTURE(start);
    constexpr std::uint32_t slots = 3;
    Sessions sessions(100);
    Dice random(start);
    Tick now = start;
    for (int step = 0; step < 20'000; ++step) {
      const std::uint32_t slot = random() % slots;
      now += random() % 3;
      switch (random() % 8) {
        case 0:
          if (sessions.count(slot) < 30) sessions.add(slot, now);
          break;
        case 1:
          if (random() % 2 == 0) sessions.remove_any(slot, random());
          break;
        case 2:
          sessions.check_oldest(slot, now);
          break;
        default:
          sessions.touch(slot, random(), now);
      }
    }
  }
}

TEST_CASE("activity: removing the oldest again and again goes through all in order") {
  Sessions sessions(50);
  Dice random(8);
  for (Tick now = 0; now < 50; ++now) sessions.add(7, now);
  for (Tick now = 50; now < 500; ++now) sessions.touch(7, random(), now);
  for (int left = 50; left > 0; --left) {
    sessions.check_oldest(7, 500);
    sessions.remove(7, sessions.oldest(7));
  }
  CHECK_EQ(sessions.oldest(7), no_session);
}
