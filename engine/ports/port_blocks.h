// The blocks that the ports of one external address are handed out in (RFC 7422, RFC 6888 REQ-14).
//
// Theory of operation
//
// A block is an aligned run of ports, for TCP, UDP and ICMP identifiers together, and belongs to an
// owner, a namespace. So who knows when each block was taken and given up knows whose each port
// was. A namespace that is to have no blocks has the smallest ones: were its ports another's at
// once, what still comes to them would be, too.
//
// The space is counted in units of the smallest block. A block's record lies at its first unit, and
// each unit knows its block. An owner has its blocks in a list by age, and those that may have a
// free port in one for each kind, which is a protocol and a class of ports. A block leaves such a
// list when all its ports of the kind are in use, or when one was looked for and not found, for
// what is withheld or forwarded is not counted there. It returns with the first port of the kind
// that comes back. So for a new mapping a few blocks are looked at, however many the owner has.
//
// A new block is one that has a port of the kind which is neither withheld nor a rule's: that is
// known of each unit. Of those of the right size one is drawn, but none that reaches into the low
// ports while others will do, and none that breaks up a run as large as somebody's blocks are,
// while others are broken up already.
//
// Within a block no port rests, but one that was a rule's: the same subscriber may have it again at
// once (RFC 6888 REQ-8). A
// block whose last port came back rests as a whole. Meanwhile it is behind the others in its
// owner's lists, and its owner may take it up again. All rest equally long, so the first to rest is
// due first. Where there is no room for another block, the one that has rested longest is taken,
// whosever it was, and where there is none, a port that rests alone: what only rests must keep
// nobody out.
//
// With a mapping for each session a port serves many of them, so a block counts sessions, and the
// lists by kind are empty.
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

#include "engine/base/index.h"
#include "engine/base/list.h"
#include "engine/base/lock.h"
#include "engine/base/memory.h"
#include "engine/events/event_outlet.h"
#include "engine/policy/namespaces.h"
#include "engine/ports/block_units.h"
#include "engine/ports/port_space.h"
#include "swnat/policy.h"

namespace swnat {

// All functions: any thread.
class PortBlocks {
 public:
  // TCP's, UDP's and ICMP's port space.
  using Spaces = std::array<PortSpace*, 3>;

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
  // Whether `take` would find one.
  bool has_any(const BlockTaker& taker, std::size_t protocol, std::uint16_t like,
               std::uint64_t random, Tick now);
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
    const auto fresh = find_new(taker, protocol, Wanted::any, random, is_found);
    if (fresh) begin_use(take_new(taker, *fresh), no_kind);
    return fresh.has_value();
  }
  // Whether it would be true.
  template <class IsFound>
  bool has_new(const BlockTaker& taker, std::size_t protocol, std::uint64_t random, Tick now,
               IsFound&& is_found) {
    const Lock lock(mutex_);
    pass_time(now);
    return find_new(taker, protocol, Wanted::any, random, is_found).has_value();
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

  // Whether the port is in a block of the owner's.
  bool has(NamespaceId owner, std::uint16_t port) const;

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
    for (std::uint32_t unit = 0; unit < unit_count; ++unit) {
      const Block& block = blocks_[unit];
      if (block.units != 0) each(owners_[block.owner].id, run_of(unit).ports(), block.rests);
    }
  }

 private:
  // Classes of ports (RFC 4787 REQ-3): low are 0 to 1023.
  enum class Wanted : std::uint8_t { any, low, high };

  static constexpr std::uint32_t unit_size = UnitRun::unit_size;
  static constexpr std::uint32_t unit_count = BlockUnits::count;
  static constexpr std::uint32_t low_units = 1024 / unit_size;
  static constexpr std::uint32_t none = no_ref;
  // Protocol times two, plus the class of PortSpace.
  static constexpr std::uint32_t kind_count = 5;
  static constexpr std::uint32_t no_kind = kind_count;
  // Blocks that are looked at for one packet and turn out to have no port: of one's own, which then
  // are known to have none, and of new ones, which is rare: a rule is new, or no port is the
  // shard's.
  static constexpr int full_max = 4;
  static constexpr int unfit_max = 8;

  struct Block {
    std::uint32_t owner;  // place of its record
    std::uint32_t uses;   // ports, or sessions
    std::uint16_t units;  // 0: no block begins here
    std::uint16_t capacity[kind_count];
    std::uint16_t used[kind_count];
    std::uint8_t listed;  // a bit for each kind: it is in the owner's list
    bool rests;
    Tick since;    // it rests
    Link age;      // the owner's, oldest first
    Link resting;  // all that rest
  };
  // Of a unit's ports of a protocol, a bit for each.
  struct UnitPorts {
    std::uint64_t ruled;
    std::uint64_t alone;  // they rest
  };
  // A unit that has ports which rest alone.
  struct AloneUnit {
    Tick since;  // the last of them
    Link link;
  };
  // A block's place in an owner's list of those that may have a port of some kind.
  struct RoomLink {
    Link link;
  };
  struct OwnerRecord {
    NamespaceId id;
    std::uint32_t count;
    ListEnds blocks;
    ListEnds room[kind_count];
    std::uint32_t searched_last;  // by some_of()
    Link spare;                   // among the records that nobody has
  };
  // Where a new block may be.
  struct NewBlock {
    UnitRun run;
    std::uint32_t resting;  // the block that is given up for it, or none
  };
  using ByAge = List<&Block::age>;
  using Resting = List<&Block::resting>;
  using Rooms = List<&RoomLink::link>;
  using Spare = List<&OwnerRecord::spare>;
  using Alone = List<&AloneUnit::link>;

  static std::uint64_t hash(NamespaceId owner) {
    return fold_multiply(owner, 0x9e37'79b9'7f4a'7c15);
  }
  static std::uint32_t kind_of(std::size_t protocol, std::uint32_t number) {
    return static_cast<std::uint32_t>(protocol) * 2 + number;
  }
  std::uint32_t kind_of(std::size_t protocol, std::uint16_t port) const {
    return kind_of(protocol, spaces_[protocol]->class_of(port));
  }
  static Wanted wanted_for(std::uint32_t kind) {
    return kind == 4 ? Wanted::any : kind % 2 == 0 ? Wanted::low : Wanted::high;
  }

  // How many units a new block of the taker's has.
  std::uint32_t units_for(const BlockTaker& taker) const {
    return std::max(taker.size / unit_size, smallest_);
  }
  UnitRun run_of(std::uint32_t block) const SWNAT_REQUIRES(mutex_) {
    return {block, blocks_[block].units};
  }
  // The block that a port is in, or none.
  std::uint32_t block_at(std::uint16_t port) const SWNAT_REQUIRES(mutex_) {
    return block_of_unit_[port / unit_size] - std::uint32_t{1};
  }
  bool belongs(std::uint32_t block, NamespaceId owner) const SWNAT_REQUIRES(mutex_) {
    return block != none && owners_[blocks_[block].owner].id == owner;
  }
  // Place of an owner's record, or none.
  std::uint32_t find(NamespaceId owner) const SWNAT_REQUIRES(mutex_) {
    const OwnerRecord* const owners = &owners_[0];
    return by_id_.find(hash(owner), [&](std::uint32_t at) { return owners[at].id == owner; });
  }

  static bool reaches_low(std::uint32_t block) { return block < low_units; }
  BlockUnits usable(std::size_t protocol, Wanted wanted) const SWNAT_REQUIRES(mutex_);
  void recount(std::size_t protocol, std::uint32_t unit) SWNAT_REQUIRES(mutex_);
  std::uint32_t next_resting(std::array<std::uint32_t, 2>& next, bool only_low,
                             const BlockUnits& fit) const SWNAT_REQUIRES(mutex_);

  // In these `is_found` tells whether it found a port in a PortRange.
  template <class IsFound>
  std::uint32_t find_own(std::uint32_t owner, std::uint32_t kind, IsFound& is_found)
      SWNAT_REQUIRES(mutex_);
  template <class IsFound>
  std::optional<NewBlock> find_new(const BlockTaker& taker, std::size_t protocol, Wanted wanted,
                                   std::uint64_t random, IsFound& is_found) const
      SWNAT_REQUIRES(mutex_);
  template <class IsFound>
  std::optional<UnitRun> find_free(BlockUnits& fit, const BlockUnits& room, std::uint32_t units,
                                   std::uint64_t& random, int& unfit, IsFound& is_found) const
      SWNAT_REQUIRES(mutex_);
  template <class IsFound>
  std::optional<NewBlock> find_resting(std::uint32_t units, bool only_low, const BlockUnits& fit,
                                       IsFound& is_found) const SWNAT_REQUIRES(mutex_);
  std::optional<std::uint16_t> find_alone(std::uint32_t owner, std::size_t protocol, Wanted wanted,
                                          std::uint16_t like) const SWNAT_REQUIRES(mutex_);

  std::uint32_t take_new(const BlockTaker& taker, const NewBlock& fresh) SWNAT_REQUIRES(mutex_);
  void take_block(NamespaceId owner, const UnitRun& run) SWNAT_REQUIRES(mutex_);
  void give_up(std::uint32_t block) SWNAT_REQUIRES(mutex_);
  void give_up_part(std::uint32_t block, const UnitRun& part) SWNAT_REQUIRES(mutex_);
  bool may_join(const UnitRun& run, std::uint32_t owner) const SWNAT_REQUIRES(mutex_);
  void join(const UnitRun& run, NamespaceId owner) SWNAT_REQUIRES(mutex_);
  void tell(EventKind kind, std::uint32_t block) SWNAT_REQUIRES(mutex_);
  void count_capacity(std::uint32_t block) SWNAT_REQUIRES(mutex_);
  std::uint32_t record_of(NamespaceId owner) SWNAT_REQUIRES(mutex_);

  void begin_use(std::uint32_t block, std::uint32_t kind) SWNAT_REQUIRES(mutex_);
  void end_use(std::uint32_t block, std::uint32_t kind) SWNAT_REQUIRES(mutex_);
  void begin_rest(std::uint32_t block, Tick since) SWNAT_REQUIRES(mutex_);
  void end_rest(std::uint32_t block) SWNAT_REQUIRES(mutex_);
  void list(std::uint32_t block, std::uint32_t kind, bool at_end) SWNAT_REQUIRES(mutex_);
  void unlist(std::uint32_t block, std::uint32_t kind) SWNAT_REQUIRES(mutex_);
  void list_all(std::uint32_t block, bool at_end) SWNAT_REQUIRES(mutex_);

  void pass_time(Tick now) SWNAT_REQUIRES(mutex_);
  bool end_due_rests(int count_max) SWNAT_REQUIRES(mutex_);
  void rest_alone(std::size_t protocol, std::uint16_t port) SWNAT_REQUIRES(mutex_);
  void rests_no_more(std::size_t protocol, std::uint16_t port) SWNAT_REQUIRES(mutex_);
  void end_rest_alone(std::uint32_t unit) SWNAT_REQUIRES(mutex_);

  const PortRanges ranges_;
  IpAddress external_;
  Spaces spaces_;
  SharedEventOutlet& events_;
  bool shares_mappings_;
  std::uint32_t smallest_;                           // block, in units
  ReservedArray<std::uint64_t> inside_{unit_count};  // of each unit the ports that there are
  BlockUnits low_;                                   // units that have low ones of these

  mutable Mutex mutex_;
  std::uint32_t largest_ SWNAT_GUARDED_BY(mutex_);  // that anybody has, in units
  // By protocol, and units that have a port which is neither withheld nor a rule's nor rests alone.
  std::array<ReservedArray<UnitPorts>, 3> unit_ports_ SWNAT_GUARDED_BY(mutex_);
  std::array<BlockUnits, 3> usable_ SWNAT_GUARDED_BY(mutex_);
  // Units that are in no block, and the first unit of the block that each is in, one higher; 0:
  // none.
  BlockUnits free_ SWNAT_GUARDED_BY(mutex_);
  ReservedArray<std::uint16_t> block_of_unit_ SWNAT_GUARDED_BY(mutex_){unit_count};
  ReservedArray<Block> blocks_ SWNAT_GUARDED_BY(mutex_){unit_count};
  std::array<ReservedArray<RoomLink>, kind_count> rooms_ SWNAT_GUARDED_BY(mutex_);
  ReservedArray<OwnerRecord> owners_ SWNAT_GUARDED_BY(mutex_){unit_count};
  ListEnds spare_owners_ SWNAT_GUARDED_BY(mutex_);
  // Records at or beyond this place were never used.
  std::uint32_t owners_used_ SWNAT_GUARDED_BY(mutex_) = 0;
  Index by_id_ SWNAT_GUARDED_BY(mutex_){unit_count};  // owners
  // By when: those that reach_low(), and the others.
  ListEnds resting_[2] SWNAT_GUARDED_BY(mutex_);
  // Units that have ports which rest alone, and in the order in which they began.
  BlockUnits alone_units_ SWNAT_GUARDED_BY(mutex_);
  ReservedArray<AloneUnit> alone_ SWNAT_GUARDED_BY(mutex_){unit_count};
  ListEnds alone_by_time_ SWNAT_GUARDED_BY(mutex_);
  std::optional<Tick> latest_ SWNAT_GUARDED_BY(mutex_);  // the time
};

// Of the blocks that the owner has one that has a port of the kind, or none.
template <class IsFound>
std::uint32_t PortBlocks::find_own(std::uint32_t owner, std::uint32_t kind, IsFound& is_found) {
  for (int full = 0; owner != none && full < full_max; ++full) {
    const std::uint32_t block = owners_[owner].room[kind].first();
    if (block == none || is_found(run_of(block).ports())) return block;
    unlist(block, kind);
  }
  return none;
}

template <class IsFound>
std::optional<PortBlocks::NewBlock> PortBlocks::find_new(const BlockTaker& taker,
                                                         std::size_t protocol, Wanted wanted,
                                                         std::uint64_t random,
                                                         IsFound& is_found) const {
  BlockUnits fit = usable(protocol, wanted);
  int unfit = 0;
  BlockUnits room = free_;
  if (wanted != Wanted::low) room.remove(low_);
  auto run = find_free(fit, room, units_for(taker), random, unfit, is_found);
  if (!run) run = find_free(fit, free_, units_for(taker), random, unfit, is_found);
  if (run) return NewBlock{*run, none};
  return find_resting(units_for(taker), wanted == Wanted::low, fit, is_found);
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
  std::array next{resting_[0].first(), resting_[1].first()};
  for (int unfit = 0; unfit < unfit_max;) {
    const std::uint32_t block = next_resting(next, only_low, fit);
    if (block == none) return {};
    // Of a large one a part may do.
    const std::uint32_t size = blocks_[block].units;
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
