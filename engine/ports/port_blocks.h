// The blocks that the ports of one external address are handed out in (RFC 7422, RFC 6888 REQ-14).
//
// Theory of operation
//
// A block is an aligned run of ports, for TCP, UDP and ICMP identifiers together, and belongs to an
// owner, a namespace. So who knows when each block was taken and given up knows whose each port
// was. A namespace that is to have no blocks has the smallest ones: were its ports another's at
// once, what still comes to them would be, too.
//
// The space is counted in units of the smallest block. Of an owner's blocks those are known that
// may have a free port (block_records.h), and of all units those that could have one
// (unit_ports.h). So for a new mapping a few blocks are looked at, however many the owner has.
//
// Of new blocks of the right size one is drawn, but none that reaches into the low ports while
// others will do, and none that breaks up a run as large as somebody's blocks are, while others are
// broken up already.
//
// Within a block no port rests, but one that was a rule's: the same subscriber may have it again at
// once (RFC 6888 REQ-8). A block whose last port came back rests as a whole, and its owner may take
// it up again. Where there is no room for another block, the one that has rested longest is taken,
// whosever it was, and where there is none, a port that rests alone: what only rests must keep
// nobody out.
//
// A lock guards all of this. Shards call with their own locks held, and the port spaces' locks are
// taken under this one, as is that of the events' outlet, which is told of each block that is taken
// or given up.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "engine/base/lock.h"
#include "engine/events/event_outlet.h"
#include "engine/policy/namespaces.h"
#include "engine/ports/block_records.h"
#include "engine/ports/block_units.h"
#include "engine/ports/unit_ports.h"
#include "swnat/policy.h"

namespace swnat {

// All functions: any thread.
class PortBlocks {
 public:
  using Spaces = UnitPorts::Spaces;

  // Of this external address. The spaces and the outlet must outlive this.
  PortBlocks(const Policy& policy, std::uint32_t shards, const IpAddress& external,
             const Spaces& spaces, SharedEventOutlet& events);

  // What such an object reserves.
  static std::size_t memory_size();
  void populate();

  // --- one mapping for each internal endpoint. `protocol` is a place in `Spaces`.

  // A port for `shard`, or nothing. Best of all `like` itself, if it is in a block of the taker's;
  // else one of a block that the taker has, chosen as PortSpace::take() does; else of a new block.
  std::optional<std::uint16_t> take(const BlockTaker& taker, std::size_t protocol,
                                    std::uint32_t shard, std::uint16_t like, std::uint64_t random,
                                    Tick now);
  // Whether `take` would find one. A look alone does not end the rest of what has rested, either.
  bool has_any(const BlockTaker& taker, std::size_t protocol, std::uint16_t like,
               std::uint64_t random, Tick now, bool is_look);
  // A port that `take` gave, which nobody may have now; it rests alone.
  void pass_over(std::size_t protocol, std::uint32_t shard, std::uint16_t port, Tick now);

  // --- a mapping for each session

  // Blocks of an owner in the order in which to look for a port for a remote: the oldest, the
  // newest, then some of the others, which are other ones the next time, if it `moves_on`. Returns
  // how many.
  static constexpr std::size_t searched_max = 18;
  std::size_t some_of(NamespaceId owner, std::span<PortRange, searched_max> found, bool moves_on);
  // One more session has the port. False if it is not in a block of the owner's any more.
  bool use(NamespaceId owner, std::uint16_t port, Tick now);
  // The same, with a port of a new block, where `is_found` says that it found one in a PortRange.
  // It is called with the lock held. False if there is none.
  template <class IsFound>
  bool use_new(const BlockTaker& taker, std::size_t protocol, std::uint64_t random, Tick now,
               IsFound&& is_found) {
    const Lock lock(mutex_);
    pass_time(now);
    const auto fresh = find_new(taker, protocol, PortClass::any, random, is_found);
    if (fresh) records_.begin_use(take_new(taker, *fresh), BlockRecords::no_kind);
    return fresh.has_value();
  }
  // Whether it would be true.
  template <class IsFound>
  bool has_new(const BlockTaker& taker, std::size_t protocol, std::uint64_t random, Tick now,
               bool is_look, IsFound&& is_found) {
    const Lock lock(mutex_);
    if (!is_look) pass_time(now);
    return find_new(taker, protocol, PortClass::any, random, is_found).has_value();
  }

  // --- both

  // What `take`, `use` or `adopt` gave.
  void release(std::size_t protocol, std::uint32_t shard, std::uint16_t port, Tick now);

  // The port of a session of an earlier engine, before any packet: of a block of the owner's, for
  // which the smallest becomes one if nobody has it. False if that cannot be.
  bool adopt(NamespaceId owner, std::size_t protocol, std::uint32_t shard, std::uint16_t port);
  // After the last of them: makes blocks as large as new ones of their owners are, where all of
  // such a one is the owner's or nobody's. `size_of` an owner, as in BlockTaker.
  void join_adopted(const std::function<std::uint32_t(NamespaceId)>& size_of);

  // Whether the port is in a block of the owner's, which it still has when this time has passed.
  bool has(NamespaceId owner, std::uint16_t port, Tick now) const;

  // A port is withheld from now on, or no longer.
  void withheld_changed(std::size_t protocol, std::uint16_t port);
  // A port is a rule's from now on; or no longer, and rests alone.
  void port_ruled(std::size_t protocol, std::uint16_t port);
  void port_rests(std::size_t protocol, std::uint16_t port, Tick now);

  // Gives up the blocks that have rested.
  void expire(Tick now);

  // For each block: owner, ports, and whether it rests. In the order of the ports.
  template <class Each>
  void for_each(Each&& each) const {
    const Lock lock(mutex_);
    for (std::uint32_t unit = 0; unit < BlockUnits::count; ++unit) {
      if (!records_.is_block(unit)) continue;
      each(records_.owner_of(unit), records_.run_of(unit).ports(), records_.rests(unit));
    }
  }

 private:
  // Blocks that are looked at for one packet and turn out to have no port: of one's own, which then
  // are known to have none, and of new ones, which is rare: a rule is new, or no port is the
  // shard's.
  static constexpr int full_max = 4;
  static constexpr int unfit_max = 8;

  // Where a new block may be.
  struct NewBlock {
    UnitRun run;
    std::uint32_t resting;  // the block that is given up for it, or no_ref
  };

  std::uint32_t kind_of(std::size_t protocol, std::uint16_t port) const {
    return BlockRecords::kind_of(protocol, spaces_[protocol]->class_of(port));
  }
  // How many units a new block of the taker's has.
  std::uint32_t units_for(const BlockTaker& taker) const {
    return std::max(taker.size / UnitRun::unit_size, smallest_);
  }
  Tick latest() const SWNAT_REQUIRES(mutex_) { return latest_.value_or(0); }

  // In these `is_found` tells whether it found a port in a PortRange.
  template <class IsFound>
  std::uint32_t find_own(NamespaceId owner, std::uint32_t kind, IsFound& is_found)
      SWNAT_REQUIRES(mutex_);
  template <class IsFound>
  std::optional<NewBlock> find_new(const BlockTaker& taker, std::size_t protocol, PortClass wanted,
                                   std::uint64_t random, IsFound& is_found) const
      SWNAT_REQUIRES(mutex_);
  template <class IsFound>
  std::optional<UnitRun> find_free(BlockUnits& fit, const BlockUnits& room, std::uint32_t units,
                                   std::uint64_t& random, int& unfit, IsFound& is_found) const
      SWNAT_REQUIRES(mutex_);
  template <class IsFound>
  std::optional<NewBlock> find_resting(std::uint32_t units, bool only_low, const BlockUnits& fit,
                                       IsFound& is_found) const SWNAT_REQUIRES(mutex_);
  std::optional<std::uint16_t> find_alone(NamespaceId owner, std::size_t protocol, PortClass wanted,
                                          std::uint16_t like) const SWNAT_REQUIRES(mutex_);
  std::uint32_t take_new(const BlockTaker& taker, const NewBlock& fresh) SWNAT_REQUIRES(mutex_);

  void pass_time(Tick now) SWNAT_REQUIRES(mutex_);
  bool end_due_rests(int count_max) SWNAT_REQUIRES(mutex_);
  void end_rests_alone(std::uint32_t unit) SWNAT_REQUIRES(mutex_);

  const Spaces spaces_;
  const bool shares_mappings_;
  const std::uint32_t smallest_;  // block, in units

  mutable Mutex mutex_;
  std::uint32_t largest_ SWNAT_GUARDED_BY(mutex_);  // that anybody has, in units
  UnitPorts ports_ SWNAT_GUARDED_BY(mutex_);
  BlockRecords records_ SWNAT_GUARDED_BY(mutex_);
  std::optional<Tick> latest_ SWNAT_GUARDED_BY(mutex_);  // the time
};

// Of the blocks that the owner has one that has a port of the kind, or none.
template <class IsFound>
std::uint32_t PortBlocks::find_own(NamespaceId owner, std::uint32_t kind, IsFound& is_found) {
  for (int full = 0; full < full_max; ++full) {
    const std::uint32_t block = records_.first_with_room(owner, kind);
    if (block == no_ref || is_found(records_.run_of(block).ports())) return block;
    records_.unlist(block, kind);
  }
  return no_ref;
}

template <class IsFound>
std::optional<PortBlocks::NewBlock> PortBlocks::find_new(const BlockTaker& taker,
                                                         std::size_t protocol, PortClass wanted,
                                                         std::uint64_t random,
                                                         IsFound& is_found) const {
  BlockUnits fit = ports_.usable(protocol, wanted);
  int unfit = 0;
  BlockUnits room = records_.free();
  if (wanted != PortClass::low) room.remove(ports_.low());
  auto run = find_free(fit, room, units_for(taker), random, unfit, is_found);
  if (!run) run = find_free(fit, records_.free(), units_for(taker), random, unfit, is_found);
  if (run) return NewBlock{*run, no_ref};
  return find_resting(units_for(taker), wanted == PortClass::low, fit, is_found);
}

// Where there is no room for a whole block, a smaller one is better than none.
template <class IsFound>
std::optional<UnitRun> PortBlocks::find_free(BlockUnits& fit, const BlockUnits& room,
                                             std::uint32_t units, std::uint64_t& random, int& unfit,
                                             IsFound& is_found) const {
  for (; units >= smallest_; units /= 2) {
    for (; unfit < unfit_max; ++unfit) {
      // Other bits than those that the port in the block follows from, or both could be foreseen
      // together; by the multiplier of a congruential generator.
      random *= 0xd134'2543'de82'ef95;
      BlockUnits candidates = room.tightest(fit, units, largest_);
      const auto unit = candidates.draw(static_cast<std::uint32_t>(random >> 32));
      if (!unit) break;
      const UnitRun run{*unit, units};
      if (is_found(run.ports())) return run;
      fit.remove(run);  // nor are parts of it of any use
    }
  }
  return {};
}

template <class IsFound>
std::optional<PortBlocks::NewBlock> PortBlocks::find_resting(std::uint32_t units, bool only_low,
                                                             const BlockUnits& fit,
                                                             IsFound& is_found) const {
  BlockRecords::Resting resting(records_);
  for (int unfit = 0; unfit < unfit_max;) {
    const std::uint32_t block = resting.next(only_low, fit);
    if (block == no_ref) return {};
    // Of a large one a part may do.
    const std::uint32_t size = records_.run_of(block).count;
    UnitRun run{block, std::min(size, units)};
    for (; run.first < block + size && unfit < unfit_max; run.first += run.count) {
      if (!fit.has_any(run)) continue;
      if (is_found(run.ports())) return NewBlock{run, block};
      ++unfit;
    }
  }
  return {};
}

}  // namespace swnat
