#include "engine/ports/block_records.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace swnat {

BlockRecords::BlockRecords(const Policy& policy, const IpAddress& external,
                           SharedEventOutlet& events)
    : ranges_(policy.ports),
      external_(external),
      shares_mappings_(policy.mapping == Mapping::endpoint_independent),
      events_(events),
      rooms_{ReservedArray<RoomLink>(BlockUnits::count), ReservedArray<RoomLink>(BlockUnits::count),
             ReservedArray<RoomLink>(BlockUnits::count), ReservedArray<RoomLink>(BlockUnits::count),
             ReservedArray<RoomLink>(BlockUnits::count)} {
  for (std::uint32_t unit = 0; unit < BlockUnits::count; ++unit) free_.add({unit, 1});
}

std::size_t BlockRecords::memory_size() {
  return BlockUnits::count * (sizeof(std::uint16_t) + sizeof(Block) +
                              kind_count * sizeof(RoomLink) + sizeof(OwnerRecord)) +
         Index::lines_for(BlockUnits::count) * 64;
}

void BlockRecords::populate() {
  block_of_unit_.populate();
  blocks_.populate();
  for (auto& room : rooms_) room.populate();
  owners_.populate();
  by_id_.populate();
}

std::uint32_t BlockRecords::first_with_room(NamespaceId owner, std::uint32_t kind) const {
  const std::uint32_t at = find(owner);
  return at == no_ref ? no_ref : owners_[at].room[kind].first();
}

std::size_t BlockRecords::some_of(NamespaceId owner, std::span<PortRange> found, bool moves_on) {
  const std::uint32_t at = find(owner);
  if (at == no_ref) return 0;
  OwnerRecord& record = owners_[at];
  const std::uint32_t oldest = record.blocks.first();
  const std::uint32_t newest = record.blocks.last();
  const std::size_t count = std::min<std::size_t>(record.count, found.size());
  found[0] = run_of(oldest).ports();
  if (count > 1) found[1] = run_of(newest).ports();
  std::uint32_t last = record.searched_last;
  for (std::size_t i = 2; i < count;) {
    last = last == newest ? oldest : blocks_[last].age.next;
    if (last != oldest && last != newest) found[i++] = run_of(last).ports();
  }
  if (moves_on) record.searched_last = last;
  return count;
}

// --- owners

void BlockRecords::take(NamespaceId owner, const UnitRun& run, Tick now) {
  const std::uint32_t unit = run.first;
  const std::uint32_t at = record_of(owner);
  OwnerRecord& record = owners_[at];
  assert(free_.has_all(run));
  free_.remove(run);
  for (std::uint32_t one = unit; one < unit + run.count; ++one) {
    block_of_unit_[one] = static_cast<std::uint16_t>(unit + 1);
  }
  blocks_[unit] = {};
  blocks_[unit].owner = at;
  blocks_[unit].units = static_cast<std::uint16_t>(run.count);
  ByAge::append(blocks_, record.blocks, unit);
  if (record.count++ == 0) record.searched_last = unit;
  tell(EventKind::block_taken, unit, now);
  if (!shares_mappings_) return;
  count_capacity(unit);
  list_all(unit, false);
}

void BlockRecords::give_up(std::uint32_t block, Tick now) {
  Block& own = blocks_[block];
  assert(own.units != 0 && own.uses == 0);
  tell(EventKind::block_given_up, block, now);
  if (own.rests) end_rest(block);
  for (std::uint32_t kind = 0; kind < kind_count; ++kind) unlist(block, kind);
  OwnerRecord& record = owners_[own.owner];
  if (record.searched_last == block) {
    record.searched_last = own.age.next == no_ref ? record.blocks.first() : own.age.next;
  }
  ByAge::remove(blocks_, record.blocks, block);
  if (--record.count == 0) {
    by_id_.erase(hash(record.id), own.owner);
    Spare::append(owners_, spare_owners_, own.owner);
  }
  free_.add(run_of(block));
  for (std::uint32_t one = block; one < block + own.units; ++one) block_of_unit_[one] = 0;
  own.units = 0;
}

void BlockRecords::give_up_part(std::uint32_t block, const UnitRun& part, Tick now) {
  const UnitRun whole = run_of(block);
  const NamespaceId owner = owner_of(block);
  const Tick since = blocks_[block].since;
  give_up(block, now);
  for (std::uint32_t count = whole.count / 2; count >= part.count; count /= 2) {
    const UnitRun other{(part.first & ~(count - 1)) ^ count, count};
    take(owner, other, now);
    begin_rest(other.first, since);
  }
}

bool BlockRecords::may_join(const UnitRun& run, NamespaceId owner) const {
  for (std::uint32_t unit = run.first; unit < run.first + run.count; ++unit) {
    const std::uint32_t block = block_of(unit);
    if (block != no_ref && owner_of(block) != owner) return false;
  }
  return true;
}

// Nobody listens yet, who would be told of blocks that are given up.
void BlockRecords::join(const UnitRun& run, NamespaceId owner) {
  Block sum{};
  for (std::uint32_t unit = run.first; unit < run.first + run.count; ++unit) {
    Block& part = blocks_[unit];
    if (part.units == 0) continue;
    sum.uses += std::exchange(part.uses, 0);
    for (std::uint32_t kind = 0; kind < kind_count; ++kind) {
      sum.used[kind] = static_cast<std::uint16_t>(sum.used[kind] + part.used[kind]);
    }
    give_up(unit, 0);
  }
  take(owner, run, 0);
  Block& whole = blocks_[run.first];
  whole.uses = sum.uses;
  for (std::uint32_t kind = 0; kind < kind_count; ++kind) {
    whole.used[kind] = sum.used[kind];
    if (whole.used[kind] == whole.capacity[kind]) unlist(run.first, kind);
  }
}

std::uint32_t BlockRecords::record_of(NamespaceId owner) {
  std::uint32_t at = find(owner);
  if (at != no_ref) return at;
  at = spare_owners_.first();
  if (at == no_ref) {
    at = owners_used_++;
  } else {
    Spare::remove(owners_, spare_owners_, at);
  }
  owners_[at] = {};
  owners_[at].id = owner;
  by_id_.insert(hash(owner), at);
  return at;
}

void BlockRecords::tell(EventKind kind, std::uint32_t block, Tick now) {
  const PortRange ports = run_of(block).ports();
  const Lock lock(events_.mutex);
  events_.outlet.tell(kind, {.time = std::chrono::milliseconds(now),
                             .namespace_id = owner_of(block),
                             .count = ports.last - ports.first + 1u,
                             .external = {external_, ports.first}});
}

void BlockRecords::count_capacity(std::uint32_t block) {
  Block& own = blocks_[block];
  const PortRange whole = run_of(block).ports();
  for (const PortRange& range : ranges_.ranges()) {
    const std::uint32_t first = std::max(range.first, whole.first);
    const std::uint32_t last = std::min(range.last, whole.last);
    for (std::uint32_t kind = 0; kind < kind_count; ++kind) {
      const std::uint32_t from = class_of(kind) == PortClass::high ? std::max(first, 1024u) : first;
      const std::uint32_t to = class_of(kind) == PortClass::low ? std::min(last, 1023u) : last;
      if (from > to) continue;
      own.capacity[kind] = static_cast<std::uint16_t>(own.capacity[kind] + to - from + 1);
    }
  }
}

// --- use and rest

void BlockRecords::begin_use(std::uint32_t block, std::uint32_t kind) {
  Block& own = blocks_[block];
  ++own.uses;
  if (own.rests) {
    end_rest(block);
    if (shares_mappings_) list_all(block, false);
  }
  if (kind != no_kind && ++own.used[kind] == own.capacity[kind]) unlist(block, kind);
}

void BlockRecords::end_use(std::uint32_t block, std::uint32_t kind, Tick now) {
  Block& own = blocks_[block];
  assert(own.units != 0 && own.uses != 0);
  if (kind != no_kind) {
    assert(own.used[kind] != 0);
    --own.used[kind];
    if ((own.listed >> kind & 1) == 0) list(block, kind, false);
  }
  if (--own.uses == 0) begin_rest(block, now);
}

// Behind those that did not begin to rest later; mostly that is at one of the ends.
void BlockRecords::begin_rest(std::uint32_t block, Tick since) {
  Block& own = blocks_[block];
  own.rests = true;
  own.since = since;
  ListEnds& ends = resting_list(block);
  std::uint32_t before = ends.last();
  if (before != no_ref && elapsed(blocks_[before].since, since) < 0) {
    before = no_ref;
    for (std::uint32_t next = ends.first(); elapsed(blocks_[next].since, since) >= 0;) {
      before = next;
      next = blocks_[next].resting.next;
    }
  }
  ByRest::insert_after(blocks_, ends, block, before);
  if (shares_mappings_) list_all(block, true);
}

void BlockRecords::end_rest(std::uint32_t block) {
  blocks_[block].rests = false;
  ByRest::remove(blocks_, resting_list(block), block);
}

// Few blocks reach into the low ports, so few are passed over.
std::uint32_t BlockRecords::Resting::next(bool only_low, const BlockUnits& fit) {
  const auto& blocks = records_.blocks_;
  for (;;) {
    const bool is_low_later =
        next_[0] == no_ref ||
        (next_[1] != no_ref && elapsed(blocks[next_[0]].since, blocks[next_[1]].since) < 0);
    const std::size_t which = is_low_later && !only_low ? 1 : 0;
    const std::uint32_t block = next_[which];
    if (block == no_ref) return no_ref;
    next_[which] = blocks[block].resting.next;
    if (fit.has_any(records_.run_of(block))) return block;
  }
}

std::uint32_t BlockRecords::rested(Tick now) const {
  for (const ListEnds& list : resting_) {
    const std::uint32_t block = list.first();
    if (block != no_ref && has_rested(blocks_[block].since, now)) return block;
  }
  return no_ref;
}

// --- room

// Where the owner looks for a port next: at the end for a block that rests.
void BlockRecords::list(std::uint32_t block, std::uint32_t kind, bool at_end) {
  Block& own = blocks_[block];
  unlist(block, kind);
  if (own.capacity[kind] == 0) return;
  ListEnds& ends = owners_[own.owner].room[kind];
  Rooms::insert_after(rooms_[kind], ends, block, at_end ? ends.last() : no_ref);
  own.listed |= static_cast<std::uint8_t>(1u << kind);
}

void BlockRecords::unlist(std::uint32_t block, std::uint32_t kind) {
  Block& own = blocks_[block];
  if ((own.listed >> kind & 1) == 0) return;
  Rooms::remove(rooms_[kind], owners_[own.owner].room[kind], block);
  own.listed &= static_cast<std::uint8_t>(~(1u << kind));
}

void BlockRecords::list_all(std::uint32_t block, bool at_end) {
  for (std::uint32_t kind = 0; kind < kind_count; ++kind) list(block, kind, at_end);
}

}  // namespace swnat
