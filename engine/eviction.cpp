#include "engine/eviction.h"

#include <optional>

namespace swnat {

Eviction::First Eviction::first_to_go(const RoomWanted& wanted) {
  First first;
  for (const AnyShard& each : shards_) {
    std::visit(
        [&](auto* shard) {
          const Lock lock(shard->mutex);
          const std::optional<Candidate> found = shard->sessions().first_to_go(wanted);
          if (!found) return;
          if (first.owner != nullptr && !found->standing.goes_before(first.candidate.standing)) {
            return;
          }
          first.candidate = *found;
          first.owner = &each;
        },
        each);
  }
  if (first.owner == nullptr || (wanted.only_over && first.candidate.standing.rank != Rank::over)) {
    return first;
  }
  first.result = first.candidate.leaves_enough ? Result::tried : Result::in_vain;
  return first;
}

Eviction::Result Eviction::make_room(const RoomWanted& wanted, Tick now) {
  const First first = first_to_go(wanted);
  if (first.result != Result::tried) return first.result;
  std::visit(
      [&](auto* shard) {
        const Lock lock(shard->mutex);
        shard->sessions().evict(wanted.slot, first.candidate, now);
      },
      *first.owner);
  return first.result;
}

Eviction::Foretold Eviction::foretell(const RoomWanted& wanted, Tick now) {
  const First first = first_to_go(wanted);
  Foretold foretold{.result = first.result};
  if (first.result != Result::tried) return foretold;
  std::visit(
      [&](auto* shard) {
        const Lock lock(shard->mutex);
        auto& sessions = shard->sessions();
        foretold.shard = sessions.shard();
        if (sessions[first.candidate.ref].state == SessionState::free) return;
        foretold.session = sessions.table().view(first.candidate.ref, now);
      },
      *first.owner);
  return foretold;
}

void Eviction::enforce(NamespaceUses& uses, std::uint32_t slot, std::uint32_t limit, Tick now) {
  while (uses.count(slot) > limit && make_room({slot, false}, now) == Result::tried) {
  }
}

}  // namespace swnat
