#include "engine/events/event_ring.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace swnat;

namespace {

Event event(EventKind kind, int number) {
  return {.time = std::chrono::milliseconds(number), .kind = kind};
}

// "session_made 3", "lost 2 refused since 7".
std::string text(const Event& told) {
  const std::string time = std::to_string(told.time.count());
  if (told.kind != EventKind::lost) return std::string(name_of(told.kind)) + " " + time;
  return "lost " + std::to_string(told.count) + " " + std::string(name_of(told.lost_kind)) +
         " since " + time;
}

std::vector<std::string> take(EventRing& ring, std::size_t most = 100) {
  std::vector<Event> out(most);
  std::vector<std::string> texts;
  const std::size_t count = ring.take(out);
  for (std::size_t i = 0; i < count; ++i) texts.push_back(text(out[i]));
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("event_ring: gives back what it got, in order, over its end and again") {
  EventRing ring(16);
  int next = 0;
  int read = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 7; ++i) ring.push(event(EventKind::session_made, next++));
    for (const std::string& one : take(ring, round % 3 == 0 ? 3 : 9)) {
      CHECK_EQ(one, "session_made " + std::to_string(read++));
    }
  }
  while (!take(ring, 5).empty()) {
  }
  CHECK(take(ring).empty());
}

TEST_CASE("event_ring: what finds no room is counted by its kind, and told when the rest is read") {
  EventRing ring(16);
  for (int i = 0; i < 16; ++i) ring.push(event(EventKind::session_made, i));
  for (int i = 16; i < 19; ++i) ring.push(event(EventKind::session_made, i));
  ring.push(event(EventKind::mapping_ended, 20));
  const Texts told = take(ring);
  REQUIRE_EQ(told.size(), 18);
  CHECK_EQ(told[15], "session_made 15");
  CHECK_EQ(told[16], "lost 1 mapping_ended since 20");
  CHECK_EQ(told[17], "lost 3 session_made since 16");
  CHECK(take(ring).empty());
  ring.push(event(EventKind::session_made, 21));
  CHECK_EQ(take(ring), Texts{"session_made 21"});
}

TEST_CASE("event_ring: a loss is told before the next of its kind that found room") {
  EventRing ring(16);
  for (int i = 0; i < 18; ++i) ring.push(event(EventKind::session_made, i));
  CHECK_EQ(take(ring, 1), Texts{"session_made 0"});
  // Room for one, but it would have to be told with the loss.
  ring.push(event(EventKind::session_made, 18));
  // Another kind lost nothing, and takes that room.
  ring.push(event(EventKind::session_ended, 19));
  CHECK_EQ(take(ring, 3), Texts{"session_made 1", "session_made 2", "session_made 3"});
  ring.push(event(EventKind::session_made, 20));
  const Texts told = take(ring);
  REQUIRE_EQ(told.size(), 15);
  CHECK_EQ(Texts(told.end() - 4, told.end()),
           Texts{"session_made 15", "session_ended 19", "lost 3 session_made since 16",
                 "session_made 20"});
}

TEST_CASE("event_ring: losses that find no room with the reader wait for its next call") {
  EventRing ring(16);
  for (int i = 0; i < 17; ++i) ring.push(event(EventKind::session_made, i));
  CHECK_EQ(take(ring, 16).size(), 16);
  CHECK_EQ(take(ring, 16), Texts{"lost 1 session_made since 16"});
  CHECK(take(ring, 16).empty());
}

TEST_CASE("event_ring: refused packets have a quarter, and push out nothing else") {
  EventRing ring(16);
  for (int i = 0; i < 1000; ++i) {
    ring.push(event(EventKind::refused, i));
    if (i % 90 == 0) ring.push(event(EventKind::session_made, i));
  }
  const Texts told = take(ring);
  REQUIRE_EQ(told.size(), 4 + 12 + 1);
  CHECK_EQ(told[0], "refused 0");
  CHECK_EQ(told[1], "session_made 0");
  CHECK_EQ(told[4], "refused 3");
  CHECK_EQ(told[15], "session_made 990");
  CHECK_EQ(told[16], "lost 996 refused since 4");
  // The quarter is free again.
  for (int i = 0; i < 4; ++i) ring.push(event(EventKind::refused, i));
  CHECK_EQ(take(ring).size(), 4);
  // A loss that is told within the ring is part of the quarter.
  for (int i = 0; i < 5; ++i) ring.push(event(EventKind::refused, i));
  CHECK_EQ(take(ring, 2).size(), 2);
  ring.push(event(EventKind::refused, 5));
  ring.push(event(EventKind::refused, 6));
  CHECK_EQ(take(ring), Texts{"refused 2", "refused 3", "lost 1 refused since 4", "refused 5",
                             "lost 1 refused since 6"});
}

TEST_CASE("event_ring: kinds as a set") {
  constexpr EventKinds two{EventKind::mapping_made, EventKind::refused};
  CHECK(two.contains(EventKind::refused));
  CHECK_FALSE(two.contains(EventKind::mapping_ended));
  CHECK(EventKinds{}.empty());
  CHECK((two | EventKinds{EventKind::mapping_ended}).contains(EventKind::mapping_ended));
  for (std::size_t kind = 0; kind < event_kind_count; ++kind) {
    CHECK(EventKinds::all().contains(static_cast<EventKind>(kind)));
  }
  CHECK_EQ(name_of(EventKind::block_given_up), "block_given_up");
  CHECK_EQ(name_of(EndCause::flushed), "flushed");
}
