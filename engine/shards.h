// All shards of one address family, and which of them a packet meets.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/ports/externals.h"
#include "engine/shard.h"

namespace swnat {

template <class Family>
class Shards {
 public:
  // Both must outlive this.
  Shards(std::uint32_t count, Externals<Family>& externals)
      : count_(count), externals_(externals) {}

  void add(std::unique_ptr<Shard<Family>> shard) { all_.push_back(std::move(shard)); }

  // Without external addresses there is none.
  bool empty() const { return all_.empty(); }
  std::uint32_t count() const { return count_; }
  Externals<Family>& externals() const { return externals_; }
  std::span<const std::unique_ptr<Shard<Family>>> all() const { return all_; }
  Shard<Family>& operator[](std::uint32_t number) const { return *all_[number]; }

  // Of a packet by its leg, as it is seen from the side that the packet comes from.
  std::uint32_t number_of(const Leg<Family>& leg, std::uint8_t protocol, bool is_inbound) const {
    return is_inbound ? externals_.shard_of(leg.local, protocol, leg.local_port)
                      : shard_of_port(leg.local_port, count_);
  }
  Shard<Family>& of_inside(const Parsed<Family>& parsed) const {
    return (*this)[number_of(parsed.leg_from_inside(), parsed.protocol, false)];
  }
  Shard<Family>& of_outside(const Parsed<Family>& parsed) const {
    return (*this)[number_of(parsed.leg_from_outside(), parsed.protocol, true)];
  }

 private:
  std::uint32_t count_;
  Externals<Family>& externals_;
  std::vector<std::unique_ptr<Shard<Family>>> all_;
};

}  // namespace swnat
