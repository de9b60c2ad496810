// The physical floor: what it costs to touch the memory that a packet has to touch, and to do
// nothing else.
#pragma once

#include <cstdint>

#include "engine/base/memory.h"
#include "tools/bench/random.h"

namespace swnat::bench {

// A cache line.
struct alignas(64) Line {
  std::uint64_t words[8];
};

// Two tables of cache lines, as large as the engine's index of flows and its records. Every step
// takes a batch of random pairs, one line of each table: all of them are prefetched, and then read.
class Floor {
 public:
  Floor(std::uint64_t sessions, std::size_t record_size);

  // Nanoseconds for each pair.
  double measure(std::uint32_t pairs);
  // Touches that many pairs, untimed; several threads may, each with random numbers of its own.
  void touch(SplitMix& random, std::uint32_t pairs) const;

 private:
  std::uint64_t touch_batch(SplitMix& random) const;

  ReservedArray<Line> index_;
  ReservedArray<Line> records_;
  SplitMix random_;
};

}  // namespace swnat::bench
