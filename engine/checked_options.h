// What follows from an engine's options, once they are known to be within their ranges. All throw
// std::invalid_argument if they are not.
#pragma once

#include <cstdint>

#include "engine/session/session_memory.h"
#include "swnat/engine_options.h"
#include "swnat/policy.h"

namespace swnat {

// Records of a shard, for each family.
std::uint32_t capacity_of(const EngineOptions& options);
SessionMemoryFormat format_of(const EngineOptions& options, const Policy& policy);
// With a secret whose bits are all as good as random ones, and a key of pairing.
EngineOptions with_keys(EngineOptions options);

}  // namespace swnat
