#include "engine/session/activity.h"

#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "engine/session/slab.h"
#include "engine/wire/family.h"
#include "tests/support/dice.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// A shard's sessions as the activity list knows them, and what the answer must be.
class Sessions {
 public:
  explicit Sessions(std::uint32_t capacity) : records_(capacity), links_(capacity) {}

  SessionRef add(std::uint32_t slot, Tick now, Rank rank = Rank::active) {
    const SessionRef ref = slab_.allocate(links_);
    REQUIRE_NE(ref, no_session);
    slab_.blank(ref).last_active = now;
    slab_.commit(ref, SessionState::udp);
    activity_.add(links_, ref, slot, rank, now);
    model_[slot][ref] = now;
    return ref;
  }

  void touch(std::uint32_t slot, std::uint32_t which, Tick now) {
    auto& sessions = model_[slot];
    if (sessions.empty()) return;
    auto chosen = sessions.begin();
    std::advance(chosen, which % sessions.size());
    touch_one(slot, chosen->first, now);
  }

  void touch_one(std::uint32_t slot, SessionRef ref, Tick now) {
    model_[slot][ref] = now;
    slab_[ref].last_active = now;
  }

  void change_rank(SessionRef ref, Rank rank) {
    activity_.change_rank(links_, ref, rank, slab_[ref].last_active);
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

  SessionRef oldest(std::uint32_t slot) {
    return activity_.first_to_go(links_, Looked{slab_, looks_}, slot);
  }

  void keep_comparable(std::uint32_t slot) {
    for (const auto& [ref, last_active] : model_[slot]) {
      activity_.keep_comparable(links_, ref, last_active);
    }
  }

  // The answer is a session that no other was active before.
  void check_oldest(std::uint32_t slot, Tick now) {
    const SessionRef ref = oldest(slot);
    const auto& sessions = model_[slot];
    REQUIRE_EQ(activity_.count(slot), sessions.size());
    REQUIRE_EQ(ref == no_session, sessions.empty());
    if (ref == no_session) return;
    REQUIRE(sessions.contains(ref));
    for (const auto& [other, last_active] : sessions) {
      REQUIRE_GE(elapsed(sessions.at(ref), now), elapsed(last_active, now));
    }
  }

  std::size_t count(std::uint32_t slot) { return model_[slot].size(); }
  // How often a session's last_active was read.
  std::uint64_t looks() const { return looks_; }

 private:
  struct Looked {
    const Slab<Ipv4>& slab;
    std::uint64_t& looks;

    void prefetch(SessionRef) const {}
    const Session<Ipv4>& operator[](SessionRef ref) const {
      ++looks;
      return slab[ref];
    }
  };

  std::vector<Session<Ipv4>> records_;
  std::uint32_t used_ = 0;
  Slab<Ipv4> slab_{records_, used_};
  LinkTable links_;
  Activity activity_;
  std::uint64_t looks_ = 0;
  std::map<std::uint32_t, std::map<SessionRef, Tick>> model_;
};

}  // namespace

TEST_CASE("activity: an empty namespace has no oldest session") {
  Sessions sessions(1);
  CHECK_EQ(sessions.oldest(0), no_session);
  CHECK_EQ(sessions.oldest(namespaces_max - 1), no_session);
}

TEST_CASE("activity: however many were active, one call asks a bounded number of them") {
  constexpr std::uint32_t count = 10 * Activity::asked_max;
  Sessions sessions(count);
  std::vector<SessionRef> refs;
  Tick now = 1;
  for (std::uint32_t i = 0; i < count; ++i) refs.push_back(sessions.add(0, now));
  // The first ones, which are asked first, are the last that were active.
  for (std::uint32_t i = 0; i < count; ++i) sessions.touch_one(0, refs[count - 1 - i], ++now);
  for (std::uint32_t call = 0; call < 9; ++call) {
    const std::uint64_t before = sessions.looks();
    CHECK_EQ(sessions.oldest(0), refs[(call + 1) * Activity::asked_max - 1]);
    CHECK_LE(sessions.looks() - before, Activity::asked_max);
  }
  // Once all were asked, it is exact.
  sessions.oldest(0);
  sessions.check_oldest(0, now);
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
      // Long times without a step: many sessions have the same tick.
      if (step % 400 < 300) now += random() % 3;
      switch (random() % 8) {
        case 0:
          if (sessions.count(slot) < 30) sessions.add(slot, now - random() % 2 * (random() % 200));
          break;
        case 1:
          if (random() % 2 == 0) sessions.remove_any(slot, random());
          break;
        case 2:
          sessions.check_oldest(slot, now);
          if (random() % 2 == 0 && sessions.count(slot) != 0) {
            sessions.remove(slot, sessions.oldest(slot));
          }
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

TEST_CASE("activity: a session that is added with an earlier tick is older") {
  Sessions sessions(3);
  sessions.add(7, 100);
  const SessionRef earlier = sessions.add(7, 90);
  const SessionRef earliest = sessions.add(7, 80);
  CHECK_EQ(sessions.oldest(7), earliest);
  sessions.remove(7, earliest);
  CHECK_EQ(sessions.oldest(7), earlier);
}

TEST_CASE("activity: looks once at a session for each time that it became active, and once more") {
  constexpr std::uint32_t count = 50'000;
  constexpr std::uint32_t evictions = 100'000;
  constexpr std::uint32_t active_per_eviction = 4;
  Sessions sessions(count);
  Dice random(2);
  Tick now = 0;
  std::vector<SessionRef> all;
  for (std::uint32_t i = 0; i < count; ++i) all.push_back(sessions.add(7, ++now));
  const auto touch_any = [&] { sessions.touch_one(7, all[random.below(count)], ++now); };
  for (std::uint32_t i = 0; i < count; ++i) touch_any();
  for (std::uint32_t i = 0; i < evictions; ++i) {
    for (std::uint32_t k = 0; k < active_per_eviction; ++k) touch_any();
    const SessionRef oldest = sessions.oldest(7);
    sessions.remove(7, oldest);
    REQUIRE_EQ(sessions.add(7, ++now), oldest);  // the place that was given back last
  }
  CHECK_LE(sessions.looks(), count + (active_per_eviction + 1) * std::uint64_t{evictions});
}

TEST_CASE("activity: a session that is active for longer than ticks reach is not the oldest") {
  constexpr Tick day = 24 * 60 * 60 * 1000;
  Sessions sessions(2);
  const SessionRef steady = sessions.add(7, 0);
  SessionRef idle = no_session;
  for (Tick days = 1; days <= 26; ++days) {
    sessions.touch_one(7, steady, days * day);
    if (days == 20) idle = sessions.add(7, days * day);
    sessions.keep_comparable(7);
  }
  CHECK_EQ(sessions.oldest(7), idle);
}

TEST_CASE("activity: by rank, and in each the least recently active first") {
  Sessions sessions(100);
  const SessionRef active = sessions.add(3, 10);
  const SessionRef unanswered = sessions.add(3, 20, Rank::unanswered);
  const SessionRef over = sessions.add(3, 30, Rank::over);
  const SessionRef closing = sessions.add(3, 5);
  sessions.touch_one(3, closing, 40);
  sessions.change_rank(closing, Rank::over);
  for (const SessionRef next : {over, closing, unanswered, active}) {
    CHECK_EQ(sessions.oldest(3), next);
    sessions.remove(3, next);
  }
  CHECK_EQ(sessions.oldest(3), no_session);
}

TEST_CASE("activity: what is over is found without a look at the others") {
  constexpr std::uint32_t count = 10'000;
  Sessions sessions(count);
  std::vector<SessionRef> all;
  for (std::uint32_t i = 0; i < count; ++i) all.push_back(sessions.add(3, i));
  for (const SessionRef ref : all) sessions.touch_one(3, ref, count);
  sessions.change_rank(all[7], Rank::over);
  const std::uint64_t before = sessions.looks();
  CHECK_EQ(sessions.oldest(3), all[7]);
  CHECK_LE(sessions.looks() - before, 2);
}
