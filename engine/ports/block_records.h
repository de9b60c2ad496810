// The port blocks of one external address and their owners, in lists (port_blocks.h), whose lock
// guards this.
//
// Theory of operation
//
// A block's record lies at its first unit, and each unit knows its block. An owner has its blocks
// in a list by age, and those that may have a free port in one for each kind, which is a protocol
// and a class of ports. A block leaves such a list when all its ports of the kind are in use, or
// when one was looked for and not found, for what is withheld or forwarded is not counted there. It
// returns with the first port of the kind that comes back.
//
// A block whose last port came back rests. Meanwhile it is behind the others in its owner's lists.
// All rest equally long, so the first to rest is due first.
//
// With a mapping for each session a port serves many of them, so a block counts sessions, and the
// lists by kind are empty.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/list.h"
#include "engine/base/memory.h"
#include "engine/events/event_outlet.h"
#include "engine/ports/block_units.h"
#include "engine/ports/unit_ports.h"
#include "swnat/policy.h"

namespace swnat {

// A block is named by its first unit; no_ref is none.
class BlockRecords {
 public:
  // A protocol times two, plus the class of PortSpace.
  static constexpr std::uint32_t kind_count = 5;
  static constexpr std::uint32_t no_kind = kind_count;
  static std::uint32_t kind_of(std::size_t protocol, std::uint32_t space_class) {
    return static_cast<std::uint32_t>(protocol) * 2 + space_class;
  }
  static PortClass class_of(std::uint32_t kind) {
    if (kind == 4) return PortClass::any;
    return kind % 2 == 0 ? PortClass::low : PortClass::high;
  }

  // The outlet must outlive this. It is told of each block that is taken or given up.
  BlockRecords(const Policy& policy, const IpAddress& external, SharedEventOutlet& events);

  // What such an object reserves.
  static std::size_t memory_size();
  void populate();

  // Units that are in no block.
  const BlockUnits& free() const { return free_; }
  std::uint32_t block_at(std::uint16_t port) const { return block_of(port / UnitRun::unit_size); }
  std::uint32_t block_of(std::uint32_t unit) const { return block_of_unit_[unit] - 1u; }
  bool is_block(std::uint32_t unit) const { return blocks_[unit].units != 0; }
  UnitRun run_of(std::uint32_t block) const { return {block, blocks_[block].units}; }
  NamespaceId owner_of(std::uint32_t block) const { return owners_[blocks_[block].owner].id; }
  bool belongs(std::uint32_t block, NamespaceId owner) const {
    return block != no_ref && owner_of(block) == owner;
  }
  bool rests(std::uint32_t block) const { return blocks_[block].rests; }
  bool is_due(std::uint32_t block, Tick now) const {
    return rests(block) && has_rested(blocks_[block].since, now);
  }
  // Tells of a unit whether it is in no block that another uses.
  auto open_to(NamespaceId owner) const {
    return [this, owner](std::uint32_t unit) {
      const std::uint32_t block = block_of(unit);
      return block == no_ref || rests(block) || owner_of(block) == owner;
    };
  }

  // The blocks where the owner looks for a port of the kind next.
  std::uint32_t first_with_room(NamespaceId owner, std::uint32_t kind) const;
  // It has none.
  void unlist(std::uint32_t block, std::uint32_t kind);
  // It may have one again.
  void list(std::uint32_t block, std::uint32_t kind) { list(block, kind, blocks_[block].rests); }
  void list_all(std::uint32_t block) { list_all(block, blocks_[block].rests); }
  // Some of an owner's blocks: PortBlocks::some_of().
  std::size_t some_of(NamespaceId owner, std::span<PortRange> found, bool moves_on);

  // An owner's use of these units begins here: their ports are its alone.
  void take(NamespaceId owner, const UnitRun& run, Tick now);
  // And ends here: another may have them. Nobody uses the block.
  void give_up(std::uint32_t block, Tick now);
  // The same with a part of a block that rests. What is left of it rests on, for as long as it
  // would have, as blocks of the same owner. The largest is the first that another gets.
  void give_up_part(std::uint32_t block, const UnitRun& part, Tick now);
  // Makes one block of all the units, which are the block's owner's or nobody's.
  void join(const UnitRun& run, NamespaceId owner);
  bool may_join(const UnitRun& run, NamespaceId owner) const;

  // A port, or session, more or less.
  void begin_use(std::uint32_t block, std::uint32_t kind);
  void end_use(std::uint32_t block, std::uint32_t kind, Tick now);

  // Blocks that rest, those that have rested longest first.
  class Resting {
   public:
    explicit Resting(const BlockRecords& records)
        : records_(records), next_{records.resting_[0].first(), records.resting_[1].first()} {}
    // The next one that has any unit of these, or none.
    std::uint32_t next(bool only_low, const BlockUnits& fit);

   private:
    const BlockRecords& records_;
    std::array<std::uint32_t, 2> next_;  // as resting_
  };
  // One that has rested long enough, or none.
  std::uint32_t rested(Tick now) const;

 private:
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
  using ByAge = List<&Block::age>;
  using ByRest = List<&Block::resting>;
  using Rooms = List<&RoomLink::link>;
  using Spare = List<&OwnerRecord::spare>;

  static std::uint64_t hash(NamespaceId owner) {
    return fold_multiply(owner, 0x9e37'79b9'7f4a'7c15);
  }
  // Place of an owner's record, or none.
  std::uint32_t find(NamespaceId owner) const {
    const OwnerRecord* const owners = &owners_[0];
    return by_id_.find(hash(owner), [&](std::uint32_t at) { return owners[at].id == owner; });
  }
  std::uint32_t record_of(NamespaceId owner);
  // Of the lists of blocks that rest.
  ListEnds& resting_list(std::uint32_t block) {
    return resting_[block < UnitRun::low_units ? 0 : 1];
  }

  void count_capacity(std::uint32_t block);
  void list(std::uint32_t block, std::uint32_t kind, bool at_end);
  void list_all(std::uint32_t block, bool at_end);
  void begin_rest(std::uint32_t block, Tick since);
  void end_rest(std::uint32_t block);
  void tell(EventKind kind, std::uint32_t block, Tick now);

  const PortRanges ranges_;
  const IpAddress external_;
  const bool shares_mappings_;
  SharedEventOutlet& events_;
  BlockUnits free_;
  // The first unit of the block that each unit is in, one higher; 0: none.
  ReservedArray<std::uint16_t> block_of_unit_{BlockUnits::count};
  ReservedArray<Block> blocks_{BlockUnits::count};
  std::array<ReservedArray<RoomLink>, kind_count> rooms_;
  ReservedArray<OwnerRecord> owners_{BlockUnits::count};
  ListEnds spare_owners_;
  std::uint32_t owners_used_ = 0;   // records at or beyond this place were never used
  Index by_id_{BlockUnits::count};  // owners
  ListEnds resting_[2];             // those that reach into the low ports, and the others
};

}  // namespace swnat
