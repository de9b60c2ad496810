// Taking over the sessions that an earlier engine left in the memory.
#pragma once

#include "engine/sessions.h"

namespace swnat {

// All that the shard's records hold, once, before any packet; none if their ticks are not recent. A
// record is the truth, but it may come from a file: what contradicts the policy, the clock or
// another record is dropped.
template <class Family>
void adopt_all(Sessions<Family>& sessions, Tick now, bool is_recent);

}  // namespace swnat
