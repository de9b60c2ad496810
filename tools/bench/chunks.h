// Timing in chunks: packets are written, which is not timed, and then translated, which is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "swnat/engine.h"
#include "tools/bench/rounds.h"

namespace swnat::bench {

// As many as a queue hands out at once.
inline constexpr std::size_t batch_size = 32;

inline void translate_in_batches(Engine& engine, std::span<Packet> packets, Time now) {
  for (std::size_t i = 0; i < packets.size(); i += batch_size) {
    engine.translate(packets.subspan(i, std::min(batch_size, packets.size() - i)), now);
  }
}

// Whole chunks of `chunk` steps, up to `count` steps but at least one chunk. `prepare(first)` and
// `check()` are not timed, and neither is the first eighth, which brings the caches to where they
// would be. Nanoseconds for each step.
template <class Prepare, class Timed, class Check>
double time_in_chunks(std::size_t count, std::size_t chunk, Prepare&& prepare, Timed&& timed,
                      Check&& check) {
  const std::size_t chunks = std::max<std::size_t>(count / chunk, 1);
  double spent = 0;
  for (std::size_t i = 0; i < chunks; ++i) {
    prepare(i * chunk);
    const auto start = Clock::now();
    timed();
    const double took = nanoseconds_since(start);
    check();
    if (i >= chunks / 8) spent += took;
  }
  const std::size_t timed_steps = (chunks - chunks / 8) * chunk;
  return spent / static_cast<double>(timed_steps);
}

}  // namespace swnat::bench
