// What an engine's memory amounts to, before there is one.
#pragma once

#include <cstddef>

#include "swnat/engine_options.h"
#include "swnat/policy.h"

namespace swnat {

// All that sessions, ports and fragments may come to fill, but for the session memory. Tests
// compare it with what an engine really takes when it is populated.
std::size_t memory_size(const EngineOptions& options, std::uint32_t capacity, const Policy& policy);

}  // namespace swnat
