// How many of a port space's ports are free, and what the others are.
#include <algorithm>
#include <bit>

#include "engine/ports/port_space.h"

namespace swnat {

PortSpace::Use PortSpace::use(Tick now) const {
  Use all;
  for (std::uint32_t shard = 0; shard < shards_; ++shard) {
    Part& part = *parts_[shard];
    const Lock lock(part.mutex);
    std::uint32_t resting = 0;
    std::uint32_t kept = 0;  // by the sets, whether due or not
    for (const auto& own : part.sets) {
      for (const PortSet& set : own) {
        resting += set.resting_count(now);
        kept += set.free_count() + set.resting_count();
      }
    }
    const std::uint32_t withheld = part.withheld == 0 ? 0 : parked_count(shard);
    all.used += size_of(shard) - kept - withheld;
    all.resting += resting;
    all.withheld += withheld;
    all.free += kept - resting;
  }
  return all;
}

std::uint32_t PortSpace::count_within(const PortRange& some) const {
  std::uint32_t count = 0;
  for (std::uint32_t port = some.first; port <= some.last; ++port) {
    const auto one = static_cast<std::uint16_t>(port);
    if (in_range(one) && !is_withheld(one)) ++count;
  }
  return count;
}

// How many ports of the ranges have the shard's bits.
std::uint32_t PortSpace::size_of(std::uint32_t shard) const {
  const std::uint32_t cycle = 2 * shards_;
  const auto below = [&](std::uint32_t port) {
    const std::uint32_t in_cycle = std::max(port % cycle, 2 * shard) - 2 * shard;
    return port / cycle * 2 + std::min(in_cycle, 2u);
  };
  std::uint32_t size = 0;
  for (const PortRange& range : ranges_.ranges())
    size += below(range.last + 1u) - below(range.first);
  return size;
}

std::uint32_t PortSpace::parked_count(std::uint32_t shard) const {
  std::uint32_t count = 0;
  for (std::uint32_t word = 0; word < parked_.size(); ++word) {
    for (std::uint64_t bits = parked_[word].load(std::memory_order_relaxed); bits != 0;
         bits &= bits - 1) {
      const auto bit = static_cast<std::uint32_t>(std::countr_zero(bits));
      if (home_of(static_cast<std::uint16_t>(word * 64 + bit)) == shard) ++count;
    }
  }
  return count;
}

std::uint32_t PortSpace::free_count(std::uint32_t shard) const {
  std::uint32_t count = 0;
  for (const auto& own : parts_[shard]->sets) {
    for (const PortSet& set : own) count += set.free_count();
  }
  return count;
}

std::uint32_t PortSpace::free_count() const {
  std::uint32_t count = 0;
  for (std::uint32_t shard = 0; shard < shards_; ++shard) count += free_count(shard);
  return count;
}

}  // namespace swnat
