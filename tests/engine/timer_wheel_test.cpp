#include "engine/session/timer_wheel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "tests/support/dice.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Tick slot_width = Tick{1} << TimerWheel::slot_shift;
constexpr Tick turn = slot_width * TimerWheel::slots;

std::vector<SessionRef> due(TimerWheel& wheel, LinkTable& links, Tick now) {
  std::vector<SessionRef> refs;
  for (SessionRef ref = wheel.next_due(links, now); ref != no_session;
       ref = wheel.next_due(links, now)) {
    refs.push_back(ref);
    REQUIRE_LE(refs.size(), links.size());
  }
  return refs;
}

// Where time starts: at ticks that are plain, and shortly before they wrap.
const Tick starts[] = {
    0, 1, 511, 512, 1'000'000, 0x7fff'ff00, 0xffff'ff00, 0xffff'ffff, 0xffff'ffff - turn};

}  // namespace

TEST_CASE("timer_wheel: nothing waits in a new wheel") {
  TimerWheel wheel;
  LinkTable links(1);
  for (const Tick now : starts) CHECK_EQ(wheel.next_due(links, now), no_session);
}

TEST_CASE("timer_wheel: a session comes up after its deadline, at most two slots late") {
  for (const Tick start : starts) {
    for (const Tick timeout : {0U, 1U, 100U, 511U, 512U, 513U, 5000U, 60'000U}) {
      CAPTURE(start);
      CAPTURE(timeout);
      TimerWheel wheel;
      LinkTable links(1);
      wheel.add(links, 0, start + timeout, start);
      Tick waited = 0;
      while (due(wheel, links, start + waited).empty()) {
        waited += 16;
        REQUIRE_LE(waited, 2 * turn);
      }
      CHECK_GE(waited, timeout);
      CHECK_LE(waited, timeout + 2 * slot_width);
      CHECK(due(wheel, links, start + waited + turn).empty());
    }
  }
}

TEST_CASE("timer_wheel: one turn is the longest wait") {
  for (const Tick start : starts) {
    for (const Tick timeout : {turn - slot_width, turn, turn + 1, 10 * turn, 604'800'000U}) {
      CAPTURE(start);
      CAPTURE(timeout);
      TimerWheel wheel;
      LinkTable links(1);
      wheel.add(links, 0, start + timeout, start);
      CHECK(due(wheel, links, start + turn / 2).empty());
      CHECK_EQ(due(wheel, links, start + turn + slot_width).size(), 1);
    }
  }
}

TEST_CASE("timer_wheel: a deadline that is over comes up in the next slots") {
  for (const Tick start : starts) {
    CAPTURE(start);
    TimerWheel wheel;
    LinkTable links(2);
    wheel.add(links, 0, start - 5000, start);
    CHECK_EQ(due(wheel, links, start + 2 * slot_width).size(), 1);
  }
}

TEST_CASE("timer_wheel: after a sleep of any length all that is due comes up at once") {
  for (const Tick start : starts) {
    for (const Tick sleep : {turn, turn + 1, 3 * turn, 86'400'000U, 604'800'000U}) {
      CAPTURE(start);
      CAPTURE(sleep);
      TimerWheel wheel;
      LinkTable links(64);
      for (SessionRef ref = 0; ref < 64; ++ref) {
        wheel.add(links, ref, start + ref * 1000, start);
      }
      CHECK_EQ(due(wheel, links, start + sleep).size(), 64);
      // And goes on as before.
      wheel.add(links, 0, start + sleep + 1000, start + sleep);
      CHECK(due(wheel, links, start + sleep + 400).empty());
      CHECK_EQ(due(wheel, links, start + sleep + 2100).size(), 1);
    }
  }
}

TEST_CASE("timer_wheel: long idle and empty, then used again, it keeps its promise") {
  TimerWheel wheel;
  LinkTable links(1);
  Tick now = 0xffff'0000;
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    wheel.add(links, 0, now + 3000, now);
    CHECK(due(wheel, links, now + 2900).empty());
    CHECK_EQ(due(wheel, links, now + 4100).size(), 1);
    now += 4100 + static_cast<Tick>(round) * 7'777'777;  // empty meanwhile, never asked
  }
}

TEST_CASE("timer_wheel: a removed session never comes up") {
  TimerWheel wheel;
  LinkTable links(10);
  for (SessionRef ref = 0; ref < 10; ++ref) wheel.add(links, ref, 1000 + ref * 300, 0);
  for (SessionRef ref = 0; ref < 10; ref += 2) wheel.remove(links, ref);
  std::vector<SessionRef> refs = due(wheel, links, 10'000);
  std::sort(refs.begin(), refs.end());
  CHECK_EQ(refs, std::vector<SessionRef>{1, 3, 5, 7, 9});
}

TEST_CASE("timer_wheel: time a little apart between callers loses nothing") {
  TimerWheel wheel;
  LinkTable links(3);
  constexpr Tick now = 100'000;
  wheel.add(links, 0, now + 1000, now);
  CHECK(due(wheel, links, now).empty());
  wheel.add(links, 1, now - 2000 + 1000, now - 2000);
  CHECK(due(wheel, links, now - 1500).size() <= 1);
  wheel.add(links, 2, now + 1000, now);
  CHECK_GE(due(wheel, links, now + turn + slot_width).size(), 2);
}

TEST_CASE("timer_wheel: random deadlines come up in time, whatever is added and removed") {
  for (const Tick start : {Tick{12'345}, Tick{0xffff'8000}}) {
    constexpr SessionRef size = 200;
    TimerWheel wheel;
    LinkTable links(size);
    std::map<SessionRef, Tick> deadlines;
    Dice random(start);
    Tick now = start;
    for (int step = 0; step < 20'000; ++step) {
      const SessionRef ref = random() % size;
      if (!deadlines.contains(ref)) {
        deadlines[ref] = now + random() % 50'000;
        wheel.add(links, ref, deadlines[ref], now);
      } else if (random() % 4 == 0) {
        wheel.remove(links, ref);
        deadlines.erase(ref);
      }
      now += random() % 200;
      if (step % 10 != 0) continue;
      for (const SessionRef up : due(wheel, links, now)) {
        REQUIRE(deadlines.contains(up));
        REQUIRE_GE(elapsed(deadlines[up], now), 0);
        deadlines.erase(up);
      }
      for (const auto& [waiting, deadline] : deadlines) {
        REQUIRE_LE(elapsed(deadline, now), static_cast<std::int32_t>(2 * slot_width));
      }
    }
  }
}
