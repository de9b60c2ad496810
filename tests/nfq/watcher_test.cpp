#include "nfq/watcher.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <memory>
#include <vector>

#include "nfq/error.h"
#include "nfq/watch_places.h"
#include "swnat/address_text.h"
#include "swnat/protocol.h"

using namespace swnat;
using namespace swnat::nfq;

namespace {

Event session_made(std::uint16_t port, NamespaceId id = 1) {
  Event event;
  event.kind = EventKind::session_made;
  event.time = std::chrono::milliseconds(port);
  event.protocol = protocol::udp;
  event.namespace_id = id;
  event.internal = {*parse_address("10.0.0.2"), port};
  event.external = {*parse_address("203.0.113.1"), 40000};
  event.remote = {*parse_address("198.51.100.7"), 53};
  return event;
}

Event of_kind(EventKind kind) {
  Event event = session_made(1);
  event.kind = kind;
  return event;
}

Event lost(EventKind kind, std::uint64_t count) {
  Event event;
  event.lost_kind = kind;
  event.count = count;
  return event;
}

void give(Watcher& watcher, const Event& event) {
  watcher.take(std::span(&event, 1));
}

void give_sessions(Watcher& watcher, std::size_t first, std::size_t count) {
  for (std::size_t i = first; i < first + count; ++i) {
    give(watcher, session_made(static_cast<std::uint16_t>(i)));
  }
}

std::vector<Event> drained(Watcher& watcher, std::size_t most = 2 * Watcher::capacity) {
  std::vector<Event> events(most);
  events.resize(watcher.drain(events));
  return events;
}

bool is_woken(const Watcher& watcher) {
  pollfd ready{watcher.wakeup(), POLLIN, 0};
  return ::poll(&ready, 1, 0) == 1;
}

}  // namespace

TEST_CASE("watcher: events come out in their order, whatever is taken at a time") {
  Watcher watcher(EventKinds::all(), {});
  CHECK(drained(watcher).empty());
  std::uint16_t next = 0;
  for (std::size_t round = 0; round < 5; ++round) {
    give_sessions(watcher, round * 3000, 3000);
    for (std::size_t most : {1u, 64u, 5000u}) {
      for (const Event& event : drained(watcher, most)) CHECK_EQ(event.internal.port, next++);
    }
  }
  CHECK_EQ(next, 15'000);
}

TEST_CASE("watcher: it is woken by what it wants, until that is looked at") {
  Watcher watcher({EventKind::session_made}, {});
  CHECK_FALSE(is_woken(watcher));
  give(watcher, of_kind(EventKind::mapping_made));
  CHECK_FALSE(is_woken(watcher));
  give_sessions(watcher, 1, 2);
  CHECK(is_woken(watcher));
  drained(watcher, 1);
  CHECK_FALSE(is_woken(watcher));
  CHECK_EQ(drained(watcher).size(), 1);
}

TEST_CASE("watcher: what finds no room is counted in its place") {
  Watcher watcher(EventKinds::all(), {});
  give_sessions(watcher, 0, Watcher::capacity + 10);
  give(watcher, lost(EventKind::refused, 90));
  std::vector<Event> events = drained(watcher, 1);
  REQUIRE_EQ(events.size(), 1);
  // One place is too few for it and what comes next.
  give_sessions(watcher, 50'000, 1);
  drained(watcher, 1);
  give_sessions(watcher, 50'001, 1);
  events = drained(watcher);
  REQUIRE_EQ(events.size(), Watcher::capacity);
  CHECK_EQ(events[Watcher::capacity - 3].internal.port, Watcher::capacity - 1);
  const Event& loss = events[Watcher::capacity - 2];
  CHECK_EQ(loss.kind, EventKind::lost);
  CHECK_EQ(loss.count, 10 + 90 + 1);
  CHECK_EQ(loss.time, std::chrono::milliseconds(Watcher::capacity));
  CHECK_EQ(events.back().internal.port, 50'001);
  CHECK(drained(watcher).empty());
}

TEST_CASE("watcher: what was lost is told at the end, too, and once") {
  Watcher watcher(EventKinds::all(), {});
  give_sessions(watcher, 0, Watcher::capacity + 7);
  CHECK_EQ(drained(watcher, Watcher::capacity).size(), Watcher::capacity);
  const std::vector<Event> rest = drained(watcher);
  REQUIRE_EQ(rest.size(), 1);
  CHECK_EQ(rest[0].kind, EventKind::lost);
  CHECK_EQ(rest[0].count, 7);
  give_sessions(watcher, 0, 1);
  CHECK_EQ(drained(watcher)[0].kind, EventKind::session_made);
}

TEST_CASE("watcher: events of other kinds and other sessions are left out, losses are not") {
  SessionPattern pattern;
  pattern.namespaces = {{2, 2}};
  Watcher watcher({EventKind::session_made, EventKind::session_ended}, pattern);
  give(watcher, session_made(1000, 1));
  give(watcher, session_made(1001, 2));
  Event ended = session_made(1002, 2);
  ended.kind = EventKind::session_ended;
  give(watcher, ended);
  Event mapping = session_made(1003, 2);
  mapping.kind = EventKind::mapping_made;
  give(watcher, mapping);
  give(watcher, lost(EventKind::refused, 3));
  give(watcher, lost(EventKind::session_made, 4));
  const std::vector<Event> events = drained(watcher);
  REQUIRE_EQ(events.size(), 3);
  CHECK_EQ(events[0].internal.port, 1001);
  CHECK_EQ(events[1].internal.port, 1002);
  CHECK_EQ(events[2].count, 4);
}

TEST_CASE("watch places: there are so many, and one that is given back is free") {
  WatchPlaces places;
  std::vector<WatchPlaces::Place> taken;
  const Peer root{.user = 0};
  for (std::size_t i = 0; i < WatchPlaces::most; ++i) taken.push_back(places.take(root));
  CHECK_THROWS_AS(places.take(root), Error);
  taken.pop_back();
  taken.push_back(places.take(root));
  CHECK_THROWS_AS(places.take(root), Error);
}

TEST_CASE("watch places: no user has all, and all users leave some to root") {
  WatchPlaces places;
  std::vector<WatchPlaces::Place> taken;
  for (const uid_t user : {1000u, 1001u}) {
    for (std::size_t i = 0; i < WatchPlaces::most_of_user; ++i) {
      taken.push_back(places.take({.user = user}));
    }
    CHECK_THROWS_AS(places.take({.user = user}), Error);
  }
  CHECK_THROWS_AS(places.take({.user = 1002}), Error);
  taken.push_back(places.take({.user = 0}));
  taken.erase(taken.begin());
  taken.push_back(places.take({.user = 1002}));
}
