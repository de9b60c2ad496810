// How long a session of each state may be idle.
#pragma once

#include <array>
#include <cstdint>

#include "engine/session/session.h"
#include "swnat/policy.h"

namespace swnat {

using StateTimeouts = std::array<std::int32_t, session_state_count>;  // in ticks

StateTimeouts timeouts_by_state(const Timeouts& timeouts);

}  // namespace swnat
