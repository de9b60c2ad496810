// The lists that a session is in, and what else established packets do not need. All of it lies
// beside the slab and is lost with the process; the lists are derived from the session records.
#pragma once

#include <cstdint>

#include "engine/memory.h"
#include "engine/session.h"
#include "engine/traffic_counters.h"

namespace swnat {

struct Link {
  SessionRef next;
  SessionRef previous;
};

// One cache line: whoever makes or ends a session needs nearly all of it.
struct alignas(64) SessionLinks {
  Link mapping;     // ring: sessions of the same mapping
  Link permission;  // ring: sessions of the same mapping and remote address
  Link timer;       // sessions looked at in the same slot of the timer wheel
  // The place among the namespace's sessions (activity.h): in a sorted list, or in a heap, whose
  // brothers the link then has.
  Link activity;
  SessionRef first_child;
  Tick queued = 0;  // the last_active that this place stands for, never later than the session's
  std::uint32_t slot : 17 = 0;  // where it counts (namespaces.h)
  std::uint32_t timer_slot : 7 = 0;
  bool is_in_heap : 1 = false;
  Rank rank : 2 = Rank::active;  // among those that count there
  OverflowedTraffic overflowed;
};
static_assert(sizeof(SessionLinks) == 64);

using LinkTable = ReservedArray<SessionLinks>;

// A circular list without a head: the index knows one member.
template <Link SessionLinks::*link>
struct Ring {
  static void start(LinkTable& links, SessionRef ref) { links[ref].*link = {ref, ref}; }

  static void join(LinkTable& links, SessionRef ref, SessionRef member) {
    const SessionRef next = (links[member].*link).next;
    links[ref].*link = {next, member};
    (links[member].*link).next = ref;
    (links[next].*link).previous = ref;
  }

  // Another member that stays, or no_session if `ref` was the last.
  static SessionRef leave(LinkTable& links, SessionRef ref) {
    const Link own = links[ref].*link;
    if (own.next == ref) return no_session;
    (links[own.previous].*link).next = own.next;
    (links[own.next].*link).previous = own.previous;
    return own.next;
  }
};

// A list with two ends, through a Link in the elements of any array. References are kept one
// higher, so that zeroed memory is an empty list.
struct ListEnds {
  std::uint32_t first_plus_1 = 0;
  std::uint32_t last_plus_1 = 0;

  SessionRef first() const { return first_plus_1 - 1; }
  SessionRef last() const { return last_plus_1 - 1; }
};
static_assert(SessionRef{0} - 1 == no_session);

template <auto link>
struct List;

template <class Element, Link Element::*link>
struct List<link> {
  // Behind `before`; no_session: at the front.
  static void insert_after(ReservedArray<Element>& links, ListEnds& ends, SessionRef ref,
                           SessionRef before) {
    const SessionRef next = before == no_session ? ends.first() : (links[before].*link).next;
    links[ref].*link = {next, before};
    if (before == no_session) {
      ends.first_plus_1 = ref + 1;
    } else {
      (links[before].*link).next = ref;
    }
    if (next == no_session) {
      ends.last_plus_1 = ref + 1;
    } else {
      (links[next].*link).previous = ref;
    }
  }

  static void append(ReservedArray<Element>& links, ListEnds& ends, SessionRef ref) {
    insert_after(links, ends, ref, ends.last());
  }

  static void remove(ReservedArray<Element>& links, ListEnds& ends, SessionRef ref) {
    const Link own = links[ref].*link;
    if (own.previous == no_session) {
      ends.first_plus_1 = own.next + 1;
    } else {
      (links[own.previous].*link).next = own.next;
    }
    if (own.next == no_session) {
      ends.last_plus_1 = own.previous + 1;
    } else {
      (links[own.next].*link).previous = own.previous;
    }
  }
};

}  // namespace swnat
