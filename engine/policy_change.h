// One policy after another: which sessions end by it, and whose ports forwards have.
#pragma once

#include <memory>

#include "engine/policy/namespaces.h"
#include "engine/shards.h"

namespace swnat {

// With no shard's lock; one policy at a time. Holds a shard's lock for some thousand records.
template <class Family>
class PolicyChange {
 public:
  // Gives the first policy's forwards their ports. `shards` must outlive this.
  PolicyChange(const Shards<Family>& shards, std::shared_ptr<const Snapshot> first);

  // After all sessions of an earlier engine are taken over: their port blocks become as large as
  // the policy has them.
  void join_adopted_blocks();

  void follow(std::shared_ptr<const Snapshot> next, Tick now);

 private:
  const Shards<Family>& shards_;
  std::shared_ptr<const Snapshot> snapshot_;  // whose forwards have their ports
};

extern template class PolicyChange<Ipv4>;
extern template class PolicyChange<Ipv6>;

}  // namespace swnat
