#include "engine/port_blocks.h"

#include <algorithm>
#include <cassert>

namespace swnat {
namespace {

// Blocks whose rest is ended in a call that looks for a port.
constexpr int ended_per_call = 8;

}  // namespace

PortBlocks::PortBlocks(const Policy& policy, std::uint32_t shards, const Spaces& spaces)
    : ranges_(policy.ports),
      spaces_(spaces),
      shares_mappings_(policy.mapping == Mapping::endpoint_independent),
      smallest_(std::max(1u, 2 * shards / unit_size)),
      rooms_{ReservedArray<RoomLink>(unit_count), ReservedArray<RoomLink>(unit_count),
             ReservedArray<RoomLink>(unit_count), ReservedArray<RoomLink>(unit_count),
             ReservedArray<RoomLink>(unit_count)} {
  free_.fill(~std::uint64_t{0});
  for (const PortRange& range : ranges_.ranges()) {
    for (std::uint32_t unit = range.first / unit_size; unit <= range.last / unit_size; ++unit) {
      usable_[unit / 64] |= std::uint64_t{1} << unit % 64;
    }
  }
}

std::size_t PortBlocks::memory_size() {
  return unit_count * (sizeof(std::uint16_t) + sizeof(Block) + kind_count * sizeof(RoomLink) +
                       sizeof(OwnerRecord) + sizeof(Tick)) +
         Index::lines_for(unit_count) * 64 + sizeof(PortBlocks);
}

void PortBlocks::populate() {
  block_of_unit_.populate();
  blocks_.populate();
  for (auto& room : rooms_) room.populate();
  owners_.populate();
  by_id_.populate();
  alone_since_.populate();
}

// --- ports

std::optional<std::uint16_t> PortBlocks::take(const BlockTaker& taker, std::size_t protocol,
                                              std::uint32_t shard, std::uint16_t like,
                                              std::uint64_t random, Tick now) {
  const std::lock_guard lock(mutex_);
  pass_time(now);
  PortSpace& space = *spaces_[protocol];
  const std::uint32_t owner = find(taker.owner);
  const std::uint32_t around = block_at(like);
  if (around != none && blocks_[around].owner == owner && space.take_itself(shard, like, now)) {
    begin_use(around, kind_of(protocol, like));
    return like;
  }
  const std::uint32_t kind = kind_of(protocol, space.class_for(like));
  const auto take_within = [&](const PortRange& block) {
    return space.take_within(block, shard, like, random, now);
  };
  for (int full = 0; owner != none && full < full_max; ++full) {
    const std::uint32_t block = owners_[owner].room[kind].first();
    if (block == none) break;
    if (const auto port = take_within(ports_of(block, blocks_[block].units))) {
      begin_use(block, kind);
      return port;
    }
    unlist(block, kind);
  }
  const auto port = find_new(taker, wanted_for(kind), random, take_within);
  if (port) begin_use(block_at(*port), kind);
  return port;
}

void PortBlocks::pass_over(std::size_t protocol, std::uint32_t shard, std::uint16_t port,
                           Tick now) {
  const std::lock_guard lock(mutex_);
  pass_time(now);
  spaces_[protocol]->release(shard, port, now, PortSpace::Rest::full);
  end_use(block_at(port), kind_of(protocol, port));
  rest_alone(port);
}

std::size_t PortBlocks::some_of(NamespaceId owner, std::span<PortRange, searched_max> found) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t at = find(owner);
  if (at == none) return 0;
  OwnerRecord& record = owners_[at];
  const auto ports = [&](std::uint32_t block) { return ports_of(block, blocks_[block].units); };
  const std::uint32_t oldest = record.blocks.first();
  const std::uint32_t newest = record.blocks.last();
  const std::size_t count = std::min<std::size_t>(record.count, searched_max);
  found[0] = ports(oldest);
  if (count > 1) found[1] = ports(newest);
  for (std::size_t i = 2; i < count;) {
    const std::uint32_t last = record.searched_last;
    record.searched_last = last == newest ? oldest : blocks_[last].age.next;
    if (record.searched_last == oldest || record.searched_last == newest) continue;
    found[i++] = ports(record.searched_last);
  }
  return count;
}

bool PortBlocks::use(NamespaceId owner, std::uint16_t port, Tick now) {
  const std::lock_guard lock(mutex_);
  pass_time(now);
  const std::uint32_t block = block_at(port);
  if (block == none || owners_[blocks_[block].owner].id != owner) return false;
  begin_use(block, no_kind);
  return true;
}

void PortBlocks::release(std::size_t protocol, std::uint32_t shard, std::uint16_t port, Tick now) {
  const std::lock_guard lock(mutex_);
  pass_time(now);
  if (!shares_mappings_) return end_use(block_at(port), no_kind);
  spaces_[protocol]->release(shard, port, now, PortSpace::Rest::none);
  end_use(block_at(port), kind_of(protocol, port));
}

bool PortBlocks::adopt(const BlockTaker& taker, std::size_t protocol, std::uint32_t shard,
                       std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t unit = port / unit_size;
  const std::uint32_t around = block_at(port);
  if (around != none && owners_[blocks_[around].owner].id != taker.owner) return false;
  if (shares_mappings_ && !spaces_[protocol]->take_exactly(shard, port)) return false;
  if (around == none) {
    // As large as what others have taken over allows.
    std::uint32_t units = taker.size / unit_size;
    const auto fits = [&] {
      const std::uint64_t run = bits_of(unit & ~(units - 1), units);
      return (free_[unit / 64] & run) == run;
    };
    while (units > smallest_ && !fits()) units /= 2;
    if (!fits()) {
      if (shares_mappings_) {
        spaces_[protocol]->release(shard, port, 0, PortSpace::Rest::none);
      }
      return false;
    }
    take_block(taker.owner, unit & ~(units - 1), units);
  }
  begin_use(block_at(port), shares_mappings_ ? kind_of(protocol, port) : no_kind);
  return true;
}

bool PortBlocks::has(NamespaceId owner, std::uint16_t port) const {
  const std::lock_guard lock(mutex_);
  const std::uint32_t block = block_at(port);
  return block != none && owners_[blocks_[block].owner].id == owner;
}

void PortBlocks::port_returned(std::size_t protocol, std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t block = block_at(port);
  if (block == none || !shares_mappings_) return;
  list(block, kind_of(protocol, port), blocks_[block].rests);
}

void PortBlocks::port_rests(std::uint16_t port, Tick now) {
  const std::lock_guard lock(mutex_);
  pass_time(now);
  rest_alone(port);
}

// --- where a block may begin

// Where an aligned run of so many free units begins, of which at least one is wanted.
PortBlocks::Units PortBlocks::runs(const Units& free, const Units& wanted,
                                   std::uint32_t units) const {
  static_assert(port_block_max / unit_size <= 64, "a run lies within a word");
  // The bits 0, units, 2 * units, …
  const std::uint64_t aligned =
      units == 64 ? 1 : ~std::uint64_t{0} / ((std::uint64_t{1} << units) - 1);
  Units begin{};
  for (std::size_t i = 0; i < begin.size(); ++i) {
    std::uint64_t all = free[i];
    std::uint64_t any = wanted[i];
    for (std::uint32_t step = 1; step < units; step *= 2) {
      all &= all >> step;
      any |= any >> step;
    }
    begin[i] = all & any & aligned;
  }
  return begin;
}

// The units that have wanted ports, as far as the policy has ports there.
PortBlocks::Units PortBlocks::usable(Wanted wanted) const {
  static_assert(low_units < 64);
  constexpr std::uint64_t low = (std::uint64_t{1} << low_units) - 1;
  Units units = usable_;
  if (wanted == Wanted::high) units[0] &= ~low;
  if (wanted != Wanted::low) return units;
  units[0] &= low;
  std::fill(units.begin() + 1, units.end(), 0);
  return units;
}

// One of the units, as evenly as `random` is, which then is none of them any more; or none.
std::uint32_t PortBlocks::draw(Units& units, std::uint32_t random) {
  std::uint32_t total = 0;
  for (const std::uint64_t word : units) total += static_cast<std::uint32_t>(std::popcount(word));
  if (total == 0) return none;
  auto skipped = static_cast<std::uint32_t>(std::uint64_t{random} * total >> 32);
  std::size_t i = 0;
  while (skipped >= static_cast<std::uint32_t>(std::popcount(units[i]))) {
    skipped -= static_cast<std::uint32_t>(std::popcount(units[i++]));
  }
  std::uint64_t left = units[i];
  for (; skipped != 0; --skipped) left &= left - 1;
  const auto bit = static_cast<std::uint32_t>(std::countr_zero(left));
  units[i] &= ~(std::uint64_t{1} << bit);
  return static_cast<std::uint32_t>(i) * 64 + bit;
}

bool PortBlocks::serves(std::uint32_t block, Wanted wanted) const {
  const Units units = usable(wanted);
  return (units[block / 64] & bits_of(block, blocks_[block].units)) != 0;
}

// The block that has rested longest of those from `next` on that serve, or none. Few blocks reach
// into the low ports, so few are passed over.
std::uint32_t PortBlocks::next_resting(std::array<std::uint32_t, 2>& next, Wanted wanted) const {
  for (;;) {
    const bool is_low_later =
        next[0] == none ||
        (next[1] != none && elapsed(blocks_[next[0]].since, blocks_[next[1]].since) < 0);
    const std::size_t which = is_low_later && wanted != Wanted::low ? 1 : 0;
    const std::uint32_t block = next[which];
    if (block == none) return none;
    next[which] = blocks_[block].resting.next;
    if (serves(block, wanted)) return block;
  }
}

// --- blocks

// Here an owner's use of a block begins: its ports are its alone.
void PortBlocks::take_block(NamespaceId owner, std::uint32_t unit, std::uint32_t units) {
  const std::uint32_t at = record_of(owner);
  OwnerRecord& record = owners_[at];
  assert((free_[unit / 64] & bits_of(unit, units)) == bits_of(unit, units));
  free_[unit / 64] &= ~bits_of(unit, units);
  for (std::uint32_t one = unit; one < unit + units; ++one) {
    block_of_unit_[one] = static_cast<std::uint16_t>(unit + 1);
  }
  blocks_[unit] = {};
  blocks_[unit].owner = at;
  blocks_[unit].units = static_cast<std::uint16_t>(units);
  ByAge::append(blocks_, record.blocks, unit);
  if (record.count++ == 0) record.searched_last = unit;
  if (!shares_mappings_) return;
  count_capacity(unit);
  list_all(unit, false);
}

// Here it ends: another may have them.
void PortBlocks::give_up(std::uint32_t block) {
  Block& own = blocks_[block];
  assert(own.units != 0 && own.uses == 0);
  if (own.rests) end_rest(block);
  for (std::uint32_t kind = 0; kind < kind_count; ++kind) unlist(block, kind);
  OwnerRecord& record = owners_[own.owner];
  if (record.searched_last == block) {
    record.searched_last = own.age.next == none ? record.blocks.first() : own.age.next;
  }
  ByAge::remove(blocks_, record.blocks, block);
  if (--record.count == 0) {
    by_id_.erase(hash(record.id), own.owner);
    Spare::append(owners_, spare_owners_, own.owner);
  }
  free_[block / 64] |= bits_of(block, own.units);
  for (std::uint32_t one = block; one < block + own.units; ++one) block_of_unit_[one] = 0;
  own.units = 0;
}

void PortBlocks::count_capacity(std::uint32_t block) {
  Block& own = blocks_[block];
  const PortRange whole = ports_of(block, own.units);
  for (const PortRange& range : ranges_.ranges()) {
    const std::uint32_t first = std::max(range.first, whole.first);
    const std::uint32_t last = std::min(range.last, whole.last);
    for (std::uint32_t kind = 0; kind < kind_count; ++kind) {
      const Wanted wanted = wanted_for(kind);
      const std::uint32_t from = wanted == Wanted::high ? std::max(first, 1024u) : first;
      const std::uint32_t to = wanted == Wanted::low ? std::min(last, 1023u) : last;
      if (from > to) continue;
      own.capacity[kind] = static_cast<std::uint16_t>(own.capacity[kind] + to - from + 1);
    }
  }
}

std::uint32_t PortBlocks::record_of(NamespaceId owner) {
  std::uint32_t at = find(owner);
  if (at != none) return at;
  at = spare_owners_.first();
  if (at == none) {
    at = owners_used_++;
  } else {
    Spare::remove(owners_, spare_owners_, at);
  }
  owners_[at] = {};
  owners_[at].id = owner;
  by_id_.insert(hash(owner), at);
  return at;
}

// --- uses and rest

void PortBlocks::begin_use(std::uint32_t block, std::uint32_t kind) {
  Block& own = blocks_[block];
  ++own.uses;
  if (own.rests) {
    end_rest(block);
    if (shares_mappings_) list_all(block, false);
  }
  if (kind != no_kind && ++own.used[kind] == own.capacity[kind]) unlist(block, kind);
}

void PortBlocks::end_use(std::uint32_t block, std::uint32_t kind) {
  Block& own = blocks_[block];
  assert(own.units != 0 && own.uses != 0);
  if (kind != no_kind) {
    assert(own.used[kind] != 0);
    --own.used[kind];
    if ((own.listed >> kind & 1) == 0) list(block, kind, false);
  }
  if (--own.uses == 0) begin_rest(block);
}

void PortBlocks::begin_rest(std::uint32_t block) {
  Block& own = blocks_[block];
  own.rests = true;
  own.since = latest_.value_or(0);
  Resting::append(blocks_, resting_[reaches_low(block) ? 0 : 1], block);
  if (shares_mappings_) list_all(block, true);
}

void PortBlocks::end_rest(std::uint32_t block) {
  blocks_[block].rests = false;
  Resting::remove(blocks_, resting_[reaches_low(block) ? 0 : 1], block);
}

// Where the owner looks for a port next: at the end for a block that rests.
void PortBlocks::list(std::uint32_t block, std::uint32_t kind, bool at_end) {
  Block& own = blocks_[block];
  unlist(block, kind);
  if (own.capacity[kind] == 0) return;
  ListEnds& ends = owners_[own.owner].room[kind];
  Rooms::insert_after(rooms_[kind], ends, block, at_end ? ends.last() : none);
  own.listed |= static_cast<std::uint8_t>(1u << kind);
}

void PortBlocks::unlist(std::uint32_t block, std::uint32_t kind) {
  Block& own = blocks_[block];
  if ((own.listed >> kind & 1) == 0) return;
  Rooms::remove(rooms_[kind], owners_[own.owner].room[kind], block);
  own.listed &= static_cast<std::uint8_t>(~(1u << kind));
}

void PortBlocks::list_all(std::uint32_t block, bool at_end) {
  for (std::uint32_t kind = 0; kind < kind_count; ++kind) list(block, kind, at_end);
}

// --- time

void PortBlocks::expire(Tick now) {
  constexpr int together = 64;
  bool goes_on = true;
  while (goes_on) {
    const std::lock_guard lock(mutex_);
    pass_time(now);
    goes_on = end_due_rests(together);
  }
}

void PortBlocks::pass_time(Tick now) {
  // Threads' clocks differ a little, and what is far behind is a time too long for elapsed().
  const std::int32_t passed = latest_ ? elapsed(*latest_, now) : 1;
  if (passed > 0 || passed < -port_rest) latest_ = now;
  end_due_rests(ended_per_call);
  if (earliest_alone_ && has_rested(*earliest_alone_, *latest_)) list_rested();
}

// Returns whether there may be more.
bool PortBlocks::end_due_rests(int blocks_max) {
  for (const ListEnds& list : resting_) {
    while (list.first() != none && has_rested(blocks_[list.first()].since, *latest_)) {
      if (blocks_max-- == 0) return true;
      give_up(list.first());
    }
  }
  return false;
}

void PortBlocks::rest_alone(std::uint16_t port) {
  const std::uint32_t unit = port / unit_size;
  const Tick since = latest_.value_or(0);
  rested_alone_[unit / 64] |= std::uint64_t{1} << unit % 64;
  alone_since_[unit] = since;
  if (!earliest_alone_) earliest_alone_ = since;
}

// Ports that rested alone are to be had again: as none was released just now, their blocks would
// not know.
void PortBlocks::list_rested() {
  earliest_alone_.reset();
  for (std::uint32_t unit = 0; unit < unit_count; ++unit) {
    if (!test(rested_alone_, unit)) continue;
    const Tick since = alone_since_[unit];
    if (!has_rested(since, *latest_)) {
      if (!earliest_alone_ || elapsed(since, *earliest_alone_) > 0) earliest_alone_ = since;
      continue;
    }
    rested_alone_[unit / 64] &= ~(std::uint64_t{1} << unit % 64);
    const std::uint32_t block = block_of_unit_[unit] - std::uint32_t{1};
    if (block != none && shares_mappings_) list_all(block, blocks_[block].rests);
  }
}

}  // namespace swnat
