// One shard's sessions of each namespace, so that the least recently active one is known.
//
// Theory of operation
//
// A packet stores its tick in the session and moves nothing. A list is sorted by `queued`, the tick
// that the session had when it took its place, which is never later than its last packet. So when
// the first session's two ticks agree, no other can be older: it is the least recently active,
// exactly. When they differ it is put where its last packet belongs, and the next one is asked. A
// session moves at most once for each time that packets made it active, and the search for its
// place starts at the recent end, where it mostly stops.
#pragma once

#include <cstdint>

#include "engine/links.h"
#include "engine/namespaces.h"
#include "engine/slab.h"

namespace swnat {

template <class Family>
class Activity {
 public:
  // `now` is the session's last_active, not earlier than what is in the list.
  void add(LinkTable& links, SessionRef ref, std::uint32_t slot, Tick now) {
    links[ref].namespace_slot = slot;
    place(links, ref, now);
  }

  void remove(LinkTable& links, SessionRef ref) {
    List<&SessionLinks::activity>::remove(links, lists_[links[ref].namespace_slot], ref);
  }

  // The namespace's least recently active session in this shard, or no_session.
  SessionRef oldest(LinkTable& links, const Slab<Family>& slab, std::uint32_t slot) {
    ListEnds& list = lists_[slot];
    while (list.first() != no_session) {
      const SessionRef ref = list.first();
      const Tick last_active = slab[ref].last_active;
      if (elapsed(links[ref].queued, last_active) <= 0) return ref;
      List<&SessionLinks::activity>::remove(links, list, ref);
      place(links, ref, last_active);
    }
    return no_session;
  }

  void populate() { lists_.populate(); }

 private:
  void place(LinkTable& links, SessionRef ref, Tick last_active) {
    ListEnds& list = lists_[links[ref].namespace_slot];
    SessionRef before = list.last();
    while (before != no_session && elapsed(links[before].queued, last_active) < 0) {
      before = links[before].activity.previous;
    }
    links[ref].queued = last_active;
    List<&SessionLinks::activity>::insert_after(links, list, ref, before);
  }

  ReservedArray<ListEnds> lists_{max_namespaces};
};

}  // namespace swnat
