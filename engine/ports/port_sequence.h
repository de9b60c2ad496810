// The ports that a session may have of a shard's own, by their place among these, where a port
// serves once for each remote.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "swnat/policy.h"

namespace swnat {

// With address-and-port-dependent mapping, ports of each parity that are tried for a session when
// the one that its flow names is taken: spread over all, so that where a tenth of a remote's ports
// are free one attempt in a thousand fails, and the next one tries others.
inline constexpr std::uint32_t tried_per_parity = 32;

// The ports `offset`, offset + step, … that lie in some ranges, and in `within`.
class PortSequence {
 public:
  PortSequence(const PortRanges& ranges, std::uint32_t offset, std::uint32_t step,
               const PortRange& within = {0, 65'535})
      : step_(step) {
    for (const PortRange& range : ranges.ranges()) {
      const std::uint32_t first = std::max(range.first, within.first);
      const std::uint32_t last = std::min(range.last, within.last);
      const std::uint32_t base = first + ((offset - first) & (step - 1));
      if (base > last) continue;
      const Run run{base, (last - base) / step + 1};
      runs_[run_count_++] = run;
      count_ += run.count;
    }
  }

  std::uint32_t count() const { return count_; }
  // A place, as evenly as `random` is.
  std::uint32_t place_of(std::uint32_t random) const {
    return static_cast<std::uint32_t>(std::uint64_t{random} * count_ >> 32);
  }
  std::uint16_t operator[](std::uint32_t place) const {
    std::uint32_t run = 0;
    while (place >= runs_[run].count) place -= runs_[run++].count;
    return static_cast<std::uint16_t>(runs_[run].base + place * step_);
  }

  // Whether `serves` is true for a port, of which it is asked at most `tries`: one of each part of
  // the ports, the parts from a random one on. There must be a port.
  template <class Random, class Serves>
  bool any_of_spread(std::uint32_t tries, Random& random, Serves& serves) const {
    const std::uint32_t parts = std::min(count_, tries);
    const std::uint64_t first = random.next() % parts;
    for (std::uint32_t i = 0; i < parts; ++i) {
      const auto part = static_cast<std::uint32_t>((first + i) % parts);
      const std::uint32_t begin = part * count_ / parts;
      const std::uint32_t end = (part + 1) * count_ / parts;
      const auto within = static_cast<std::uint32_t>(random.next() % (end - begin));
      if (serves((*this)[begin + within])) return true;
    }
    return false;
  }

 private:
  struct Run {
    std::uint32_t base;
    std::uint32_t count;
  };

  std::uint32_t step_;
  std::array<Run, port_ranges_max> runs_;  // not initialized beyond what there is
  std::uint32_t run_count_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace swnat
