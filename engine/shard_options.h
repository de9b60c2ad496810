// What a shard is made with, and its parts.
#pragma once

#include <cstdint>

#include "engine/base/hash.h"
#include "engine/session/session_memory.h"

namespace swnat {

template <class Family>
struct ShardOptions {
  std::uint32_t number;
  std::uint32_t shards;
  Secret secret;
  SessionMemoryPart<Family> memory;
};

}  // namespace swnat
