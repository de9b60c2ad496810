// Which queue a packet goes to: bits 1 and up of its port, or ICMP id, name the worker.
#pragma once

#include <cstdint>
#include <vector>

#include "rules/config/config.h"
#include "swnat/limits.h"

namespace swnat::rules {

struct Steering {
  std::uint32_t bits;  // as they stand in the port
  std::uint32_t queue;
};

// The daemon has a shard for each worker, which so meets only its own.
constexpr std::uint32_t steering_mask(std::uint32_t workers) {
  return shard_bits(workers);
}
static_assert(shard_of_port(7 << 1, 8) == 7 && steering_mask(8) == 7 << 1);

// One for each worker, in order of their queues.
inline std::vector<Steering> steerings(const Config& config) {
  std::vector<Steering> all;
  for (std::uint32_t worker = 0; worker < config.workers; ++worker) {
    all.push_back({worker << 1, config.first_queue + worker});
  }
  return all;
}

}  // namespace swnat::rules
