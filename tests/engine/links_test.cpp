#include "engine/session/links.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/support/dice.h"

using namespace swnat;
using namespace swnat::test;

namespace {

using ActivityList = List<&SessionLinks::activity>;
using MappingRing = Ring<&SessionLinks::mapping>;

std::vector<SessionRef> forwards(const LinkTable& links, const ListEnds& ends) {
  std::vector<SessionRef> refs;
  for (SessionRef ref = ends.first(); ref != no_session; ref = links[ref].activity.next) {
    refs.push_back(ref);
    REQUIRE_LE(refs.size(), links.size());
  }
  return refs;
}

std::vector<SessionRef> backwards(const LinkTable& links, const ListEnds& ends) {
  std::vector<SessionRef> refs;
  for (SessionRef ref = ends.last(); ref != no_session; ref = links[ref].activity.previous) {
    refs.push_back(ref);
    REQUIRE_LE(refs.size(), links.size());
  }
  std::reverse(refs.begin(), refs.end());
  return refs;
}

std::vector<SessionRef> around(const LinkTable& links, SessionRef start) {
  std::vector<SessionRef> refs;
  SessionRef ref = start;
  do {
    refs.push_back(ref);
    REQUIRE_EQ(links[links[ref].mapping.next].mapping.previous, ref);
    REQUIRE_LE(refs.size(), links.size());
    ref = links[ref].mapping.next;
  } while (ref != start);
  std::sort(refs.begin(), refs.end());
  return refs;
}

}  // namespace

TEST_CASE("links: reserved memory is zero and aligned, and zero is an empty list") {
  LinkTable links(3);
  CHECK_EQ(reinterpret_cast<std::uintptr_t>(links.data()) % 64, 0);
  CHECK_EQ(links[2].activity.next, 0);
  const ReservedArray<ListEnds> ends(2);
  CHECK_EQ(ends[1].first(), no_session);
  CHECK_EQ(ends[1].last(), no_session);
}

TEST_CASE("links: a list agrees with a model under random inserts and removals") {
  constexpr std::uint32_t size = 40;
  LinkTable links(size);
  ListEnds ends;
  std::vector<SessionRef> model;
  Dice random(2);
  for (int step = 0; step < 5000; ++step) {
    const SessionRef ref = random() % size;
    const auto place = std::find(model.begin(), model.end(), ref);
    if (place != model.end()) {
      ActivityList::remove(links, ends, ref);
      model.erase(place);
    } else if (random() % 3 == 0 || model.empty()) {
      ActivityList::append(links, ends, ref);
      model.push_back(ref);
    } else {
      const std::size_t behind = random() % (model.size() + 1);
      ActivityList::insert_after(links, ends, ref, behind == 0 ? no_session : model[behind - 1]);
      model.insert(model.begin() + static_cast<std::ptrdiff_t>(behind), ref);
    }
    REQUIRE_EQ(forwards(links, ends), model);
    REQUIRE_EQ(backwards(links, ends), model);
  }
}

TEST_CASE("links: rings agree with a model under random joins and leavings") {
  constexpr std::uint32_t size = 30;
  LinkTable links(size);
  std::vector<std::vector<SessionRef>> rings(3);
  std::vector<int> ring_of(size, -1);
  Dice random(4);
  for (int step = 0; step < 5000; ++step) {
    const SessionRef ref = random() % size;
    if (ring_of[ref] < 0) {
      ring_of[ref] = static_cast<int>(random() % 3);
      std::vector<SessionRef>& ring = rings[static_cast<std::size_t>(ring_of[ref])];
      if (ring.empty()) {
        MappingRing::start(links, ref);
      } else {
        MappingRing::join(links, ref, ring[random() % ring.size()]);
      }
      ring.push_back(ref);
    } else {
      std::vector<SessionRef>& ring = rings[static_cast<std::size_t>(ring_of[ref])];
      const SessionRef other = MappingRing::leave(links, ref);
      ring.erase(std::find(ring.begin(), ring.end(), ref));
      ring_of[ref] = -1;
      REQUIRE_EQ(other == no_session, ring.empty());
      if (!ring.empty()) REQUIRE_NE(std::find(ring.begin(), ring.end(), other), ring.end());
    }
    for (std::vector<SessionRef> ring : rings) {
      if (ring.empty()) continue;
      std::sort(ring.begin(), ring.end());
      REQUIRE_EQ(around(links, ring.front()), ring);
    }
  }
}
