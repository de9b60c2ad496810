// The clock that the engine is told.
#pragma once

#include <chrono>

namespace swnat {

// Monotonic time since any fixed point. Only differences matter; it must never go backwards by more
// than the callers' own disagreement (threads may be a little apart).
using Time = std::chrono::milliseconds;

}  // namespace swnat
