// How long ago a session was made.
//
// Theory of operation
//
// Sessions may live for ever, and ticks come round after 49 days. So an age is told as age_max at
// most, and a session that is older is made to look that young whenever the timer wheel comes to
// it. Between two such looks lies max_timeout at most, as may lie between two engines that have the
// same memory: all that together is less than ticks can tell. The rest of them is for another
// thread's clock, which may be a little behind.
#pragma once

#include <algorithm>
#include <chrono>

#include "engine/base/tick.h"
#include "swnat/policy.h"
#include "swnat/session_view.h"

namespace swnat {

inline constexpr Tick age_max_ticks{session_age_max.count()};
inline constexpr Tick clocks_differ_max = 3'600'000;
static_assert(session_age_max + 2 * max_timeout + std::chrono::hours(24) <
              std::chrono::milliseconds(~Tick{0} - clocks_differ_max));

constexpr Tick age_of(Tick made, Tick now) {
  const Tick age = now - made;
  return age > ~clocks_differ_max ? 0 : std::min(age, age_max_ticks);
}

}  // namespace swnat
