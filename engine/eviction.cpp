#include "engine/eviction.h"

#include <optional>

namespace swnat {

Eviction::Result Eviction::make_room(const RoomWanted& wanted, Tick now) {
  const AnyShard* owner = nullptr;
  Candidate first;
  for (const AnyShard& each : shards_) {
    std::visit(
        [&](auto* shard) {
          const Lock lock(shard->mutex);
          const std::optional<Candidate> found = shard->sessions().first_to_go(wanted);
          if (!found) return;
          if (owner != nullptr && !found->standing.goes_before(first.standing)) return;
          first = *found;
          owner = &each;
        },
        each);
  }
  if (owner == nullptr || (wanted.only_over && first.standing.rank != Rank::over))
    return Result::nobody;
  if (!first.leaves_enough) return Result::in_vain;
  std::visit(
      [&](auto* shard) {
        const Lock lock(shard->mutex);
        shard->sessions().evict(wanted.slot, first, now);
      },
      *owner);
  return Result::tried;
}

void Eviction::enforce(NamespaceUses& uses, std::uint32_t slot, std::uint32_t limit, Tick now) {
  while (uses.count(slot) > limit && make_room({slot, false}, now) == Result::tried) {
  }
}

}  // namespace swnat
