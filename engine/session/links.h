// The lists that a session is in, and what else established packets do not need. All of it lies
// beside the slab and is lost with the process; the lists are derived from the session records.
#pragma once

#include <cstdint>

#include "engine/base/list.h"
#include "engine/base/memory.h"
#include "engine/session/session.h"
#include "engine/session/traffic_counters.h"

namespace swnat {

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

}  // namespace swnat
