// A packet of a batch between two passes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/session/session.h"
#include "swnat/packet.h"

namespace swnat {

inline constexpr std::size_t batch_max = 32;  // packets that are looked up side by side

// A common packet (common_packet.h).
struct Lookup {
  Packet* packet;
  std::uint64_t hash;  // of its flow
  SessionRef candidate;
  std::uint32_t shard;
  int place;  // in the batch
};

}  // namespace swnat
