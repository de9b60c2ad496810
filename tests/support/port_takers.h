// Taking ports of a PortSpace, and telling what they are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/ports/port_space.h"

namespace swnat::test {

using Rest = PortSpace::Rest;
using Ports = std::vector<std::uint16_t>;

inline std::uint32_t size_of(PortRange range) {
  return std::uint32_t{range.last} - range.first + 1;
}

inline bool is_in(PortRange range, std::uint16_t port) {
  return port >= range.first && port <= range.last;
}

inline bool is_well_known(std::uint16_t port) {
  return port < 1024;
}

// Takes until there is none like these.
inline Ports take_all(PortSpace& space, std::uint32_t shard, std::uint16_t like, Tick now = 0) {
  std::mt19937_64 random(like);
  Ports taken;
  while (const auto port = space.take(shard, like, random(), now)) {
    taken.push_back(*port);
    if (taken.size() > 70'000) break;
  }
  return taken;
}

// Takes until there is none of either class.
inline Ports take_everything(PortSpace& space, std::uint32_t shard, Tick now = 0) {
  Ports taken = take_all(space, shard, 80, now);
  const Ports others = take_all(space, shard, 8080, now);
  taken.insert(taken.end(), others.begin(), others.end());
  return taken;
}

inline bool is_taken_twice(Ports ports) {
  std::sort(ports.begin(), ports.end());
  return std::adjacent_find(ports.begin(), ports.end()) != ports.end();
}

}  // namespace swnat::test
