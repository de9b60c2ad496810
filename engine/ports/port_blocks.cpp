#include "engine/ports/port_blocks.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <tuple>
#include <utility>

namespace swnat {
namespace {

// Blocks, and units with ports that rest alone, whose rest is ended in a call that looks for a
// port.
constexpr int ended_per_call = 8;

}  // namespace

PortBlocks::PortBlocks(const Policy& policy, std::uint32_t shards, const IpAddress& external,
                       const Spaces& spaces, SharedEventOutlet& events)
    : ranges_(policy.ports),
      external_(external),
      spaces_(spaces),
      events_(events),
      shares_mappings_(policy.mapping == Mapping::endpoint_independent),
      smallest_(std::max(1u, 2 * shards / unit_size)),
      largest_(smallest_),
      unit_ports_{ReservedArray<UnitPorts>(unit_count), ReservedArray<UnitPorts>(unit_count),
                  ReservedArray<UnitPorts>(unit_count)},
      rooms_{ReservedArray<RoomLink>(unit_count), ReservedArray<RoomLink>(unit_count),
             ReservedArray<RoomLink>(unit_count), ReservedArray<RoomLink>(unit_count),
             ReservedArray<RoomLink>(unit_count)} {
  for (const NamespacePolicy& one : policy.namespaces) {
    largest_ = std::max(largest_, one.port_block / unit_size);
  }
  for (const PortRange& range : ranges_.ranges()) {
    for (std::uint32_t port = range.first; port <= range.last; ++port) {
      inside_[port / unit_size] |= std::uint64_t{1} << port % unit_size;
    }
  }
  for (std::uint32_t unit = 0; unit < unit_count; ++unit) {
    free_.add({unit, 1});
    if (unit < low_units && inside_[unit] != 0) low_.add({unit, 1});
    for (std::size_t protocol = 0; protocol < spaces_.size(); ++protocol) recount(protocol, unit);
  }
}

std::size_t PortBlocks::memory_size() {
  return unit_count * (sizeof(std::uint16_t) + sizeof(Block) + kind_count * sizeof(RoomLink) +
                       sizeof(OwnerRecord) + sizeof(AloneUnit) + sizeof(std::uint64_t) +
                       std::tuple_size_v<Spaces> * sizeof(UnitPorts)) +
         Index::lines_for(unit_count) * 64 + sizeof(PortBlocks);
}

void PortBlocks::populate() {
  const Lock lock(mutex_);
  block_of_unit_.populate();
  blocks_.populate();
  for (auto& room : rooms_) room.populate();
  owners_.populate();
  by_id_.populate();
  for (auto& ports : unit_ports_) ports.populate();
  alone_.populate();
}

// --- ports

std::optional<std::uint16_t> PortBlocks::take(const BlockTaker& taker, std::size_t protocol,
                                              std::uint32_t shard, std::uint16_t like,
                                              std::uint64_t random, Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  PortSpace& space = *spaces_[protocol];
  const std::uint32_t owner = find(taker.owner);
  const std::uint32_t around = block_at(like);
  if (around != none && blocks_[around].owner == owner && space.take_itself(shard, like, now)) {
    begin_use(around, kind_of(protocol, like));
    rests_no_more(protocol, like);
    return like;
  }
  const std::uint32_t kind = kind_of(protocol, space.class_for(like));
  const Wanted wanted = wanted_for(kind);
  std::optional<std::uint16_t> port;
  const auto is_taken = [&](const PortRange& block) {
    port = space.take_within(block, shard, like, random, now);
    return port.has_value();
  };
  if (const std::uint32_t block = find_own(owner, kind, is_taken); block != none) {
    begin_use(block, kind);
  } else if (const auto fresh = find_new(taker, protocol, wanted, random, is_taken)) {
    begin_use(take_new(taker, *fresh), kind);
  } else {
    port = find_alone(owner, protocol, wanted, like);
    if (!port || !space.take_resting_itself(shard, *port)) return {};
    std::uint32_t around_it = block_at(*port);
    if (!belongs(around_it, taker.owner)) {
      around_it = take_new(taker, {UnitRun::around(*port, smallest_), around_it});
    }
    begin_use(around_it, kind);
  }
  rests_no_more(protocol, *port);
  return port;
}

bool PortBlocks::has_any(const BlockTaker& taker, std::size_t protocol, std::uint16_t like,
                         std::uint64_t random, Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  PortSpace& space = *spaces_[protocol];
  const std::uint32_t kind = kind_of(protocol, space.class_for(like));
  const Wanted wanted = wanted_for(kind);
  const std::uint32_t owner = find(taker.owner);
  const auto is_there = [&](const PortRange& block) { return space.has_within(block, like, now); };
  return find_own(owner, kind, is_there) != none ||
         find_new(taker, protocol, wanted, random, is_there) ||
         find_alone(owner, protocol, wanted, like);
}

void PortBlocks::pass_over(std::size_t protocol, std::uint32_t shard, std::uint16_t port,
                           Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  spaces_[protocol]->release(shard, port, now, PortSpace::Rest::full);
  end_use(block_at(port), kind_of(protocol, port));
  rest_alone(protocol, port);
}

std::size_t PortBlocks::some_of(NamespaceId owner, std::span<PortRange, searched_max> found,
                                bool moves_on) {
  const Lock lock(mutex_);
  const std::uint32_t at = find(owner);
  if (at == none) return 0;
  OwnerRecord& record = owners_[at];
  const auto ports = [&](std::uint32_t block)
                         SWNAT_REQUIRES(mutex_) { return run_of(block).ports(); };
  const std::uint32_t oldest = record.blocks.first();
  const std::uint32_t newest = record.blocks.last();
  const std::size_t count = std::min<std::size_t>(record.count, searched_max);
  found[0] = ports(oldest);
  if (count > 1) found[1] = ports(newest);
  std::uint32_t last = record.searched_last;
  for (std::size_t i = 2; i < count;) {
    last = last == newest ? oldest : blocks_[last].age.next;
    if (last != oldest && last != newest) found[i++] = ports(last);
  }
  if (moves_on) record.searched_last = last;
  return count;
}

bool PortBlocks::use(NamespaceId owner, std::uint16_t port, Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  const std::uint32_t block = block_at(port);
  if (!belongs(block, owner)) return false;
  begin_use(block, no_kind);
  return true;
}

void PortBlocks::release(std::size_t protocol, std::uint32_t shard, std::uint16_t port, Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  if (!shares_mappings_) return end_use(block_at(port), no_kind);
  spaces_[protocol]->release(shard, port, now, PortSpace::Rest::none);
  end_use(block_at(port), kind_of(protocol, port));
}

bool PortBlocks::adopt(NamespaceId owner, std::size_t protocol, std::uint32_t shard,
                       std::uint16_t port) {
  const Lock lock(mutex_);
  const std::uint32_t around = block_at(port);
  if (around != none && !belongs(around, owner)) return false;
  if (shares_mappings_ && !spaces_[protocol]->take_exactly(shard, port)) return false;
  if (around == none) take_block(owner, UnitRun::around(port, smallest_));
  begin_use(block_at(port), shares_mappings_ ? kind_of(protocol, port) : no_kind);
  return true;
}

// Aligned runs lie in each other or apart. So of two owners' none can be in the other's way, in
// whatever order they are joined.
void PortBlocks::join_adopted(const std::function<std::uint32_t(NamespaceId)>& size_of) {
  const Lock lock(mutex_);
  for (std::uint32_t unit = 0; unit < unit_count;) {
    const std::uint32_t units = blocks_[unit].units;
    if (units == 0) {
      ++unit;
      continue;
    }
    const std::uint32_t at = blocks_[unit].owner;
    const NamespaceId owner = owners_[at].id;
    UnitRun run = UnitRun::around(run_of(unit).ports().first, units_for({owner, size_of(owner)}));
    while (run.count > units && !may_join(run, at)) {
      run = UnitRun::around(run_of(unit).ports().first, run.count / 2);
    }
    if (run.count > units) join(run, owner);
    unit = std::max(unit + units, run.first + run.count);
  }
}

bool PortBlocks::has(NamespaceId owner, std::uint16_t port) const {
  const Lock lock(mutex_);
  return belongs(block_at(port), owner);
}

void PortBlocks::withheld_changed(std::size_t protocol, std::uint16_t port) {
  const Lock lock(mutex_);
  recount(protocol, port / unit_size);
  const std::uint32_t block = block_at(port);
  if (block == none || !shares_mappings_ || spaces_[protocol]->is_withheld(port)) return;
  list(block, kind_of(protocol, port), blocks_[block].rests);
}

void PortBlocks::port_ruled(std::size_t protocol, std::uint16_t port) {
  const Lock lock(mutex_);
  rests_no_more(protocol, port);
  const std::uint32_t unit = port / unit_size;
  unit_ports_[protocol][unit].ruled |= std::uint64_t{1} << port % unit_size;
  recount(protocol, unit);
}

void PortBlocks::port_rests(std::size_t protocol, std::uint16_t port, Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  const std::uint32_t unit = port / unit_size;
  unit_ports_[protocol][unit].ruled &= ~(std::uint64_t{1} << port % unit_size);
  recount(protocol, unit);
  if (shares_mappings_) rest_alone(protocol, port);
}

void PortBlocks::recount(std::size_t protocol, std::uint32_t unit) {
  const auto [ruled, alone] = unit_ports_[protocol][unit];
  const std::uint64_t withheld =
      spaces_[protocol]->withheld_around(static_cast<std::uint16_t>(unit * unit_size));
  const UnitRun run{unit, 1};
  if ((inside_[unit] & ~(ruled | alone | withheld)) != 0) {
    usable_[protocol].add(run);
  } else {
    usable_[protocol].remove(run);
  }
}

// Those that have a port of the protocol, and of the class that is wanted, which may be had.
BlockUnits PortBlocks::usable(std::size_t protocol, Wanted wanted) const {
  BlockUnits units = usable_[protocol];
  if (wanted == Wanted::high) units.remove(UnitRun{0, low_units});
  return wanted == Wanted::low ? units.common_with(low_) : units;
}

// --- blocks

// The block that has rested longest of those from `next` on that serve, or none. Few blocks reach
// into the low ports, so few are passed over.
std::uint32_t PortBlocks::next_resting(std::array<std::uint32_t, 2>& next, bool only_low,
                                       const BlockUnits& fit) const {
  for (;;) {
    const bool is_low_later =
        next[0] == none ||
        (next[1] != none && elapsed(blocks_[next[0]].since, blocks_[next[1]].since) < 0);
    const std::size_t which = is_low_later && !only_low ? 1 : 0;
    const std::uint32_t block = next[which];
    if (block == none) return none;
    next[which] = blocks_[block].resting.next;
    if (fit.has_any(run_of(block))) return block;
  }
}

std::uint32_t PortBlocks::take_new(const BlockTaker& taker, const NewBlock& fresh) {
  if (fresh.resting != none) give_up_part(fresh.resting, fresh.run);
  take_block(taker.owner, fresh.run);
  largest_ = std::max(largest_, units_for(taker));
  return fresh.run.first;
}

// Of a block that rests: what is left of it rests on, for as long as it would have, as blocks of
// the same owner. The largest is the first that another gets.
void PortBlocks::give_up_part(std::uint32_t block, const UnitRun& part) {
  const UnitRun whole = run_of(block);
  const NamespaceId owner = owners_[blocks_[block].owner].id;
  const Tick since = blocks_[block].since;
  give_up(block);
  for (std::uint32_t count = whole.count / 2; count >= part.count; count /= 2) {
    const UnitRun other{(part.first & ~(count - 1)) ^ count, count};
    take_block(owner, other);
    begin_rest(other.first, since);
  }
}

// Here an owner's use of a block begins: its ports are its alone.
void PortBlocks::take_block(NamespaceId owner, const UnitRun& run) {
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
  tell(EventKind::block_taken, unit);
  if (!shares_mappings_) return;
  count_capacity(unit);
  list_all(unit, false);
}

// Here it ends: another may have them.
void PortBlocks::give_up(std::uint32_t block) {
  Block& own = blocks_[block];
  assert(own.units != 0 && own.uses == 0);
  tell(EventKind::block_given_up, block);
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
  free_.add(run_of(block));
  for (std::uint32_t one = block; one < block + own.units; ++one) block_of_unit_[one] = 0;
  own.units = 0;
}

bool PortBlocks::may_join(const UnitRun& run, std::uint32_t owner) const {
  for (std::uint32_t unit = run.first; unit < run.first + run.count; ++unit) {
    const std::uint32_t block = block_of_unit_[unit] - std::uint32_t{1};
    if (block != none && blocks_[block].owner != owner) return false;
  }
  return true;
}

// Nobody listens yet, who would be told of blocks that are given up.
void PortBlocks::join(const UnitRun& run, NamespaceId owner) {
  Block sum{};
  for (std::uint32_t unit = run.first; unit < run.first + run.count; ++unit) {
    Block& part = blocks_[unit];
    if (part.units == 0) continue;
    sum.uses += std::exchange(part.uses, 0);
    for (std::uint32_t kind = 0; kind < kind_count; ++kind) {
      sum.used[kind] = static_cast<std::uint16_t>(sum.used[kind] + part.used[kind]);
    }
    give_up(unit);
  }
  take_block(owner, run);
  Block& whole = blocks_[run.first];
  whole.uses = sum.uses;
  for (std::uint32_t kind = 0; kind < kind_count; ++kind) {
    whole.used[kind] = sum.used[kind];
    if (whole.used[kind] == whole.capacity[kind]) unlist(run.first, kind);
  }
}

void PortBlocks::tell(EventKind kind, std::uint32_t block) {
  const PortRange ports = run_of(block).ports();
  const Lock lock(events_.mutex);
  events_.outlet.tell(kind, {.time = std::chrono::milliseconds(latest_.value_or(0)),
                             .namespace_id = owners_[blocks_[block].owner].id,
                             .count = ports.last - ports.first + 1u,
                             .external = {external_, ports.first}});
}

void PortBlocks::count_capacity(std::uint32_t block) {
  Block& own = blocks_[block];
  const PortRange whole = run_of(block).ports();
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
  if (--own.uses == 0) begin_rest(block, latest_.value_or(0));
}

// Behind those that did not begin to rest later; mostly that is at one of the ends.
void PortBlocks::begin_rest(std::uint32_t block, Tick since) {
  Block& own = blocks_[block];
  own.rests = true;
  own.since = since;
  ListEnds& ends = resting_[reaches_low(block) ? 0 : 1];
  std::uint32_t before = ends.last();
  if (before != none && elapsed(blocks_[before].since, since) < 0) {
    before = none;
    for (std::uint32_t next = ends.first(); elapsed(blocks_[next].since, since) >= 0;) {
      before = next;
      next = blocks_[next].resting.next;
    }
  }
  Resting::insert_after(blocks_, ends, block, before);
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
    const Lock lock(mutex_);
    pass_time(now);
    goes_on = end_due_rests(together);
  }
}

void PortBlocks::pass_time(Tick now) {
  // Threads' clocks differ a little, and what is far behind is a time too long for elapsed().
  const std::int32_t passed = latest_ ? elapsed(*latest_, now) : 1;
  if (passed > 0 || passed < -port_rest) latest_ = now;
  end_due_rests(ended_per_call);
}

// Returns whether there may be more.
bool PortBlocks::end_due_rests(int count_max) {
  const ListEnds& alone = alone_by_time_;
  while (alone.first() != none && has_rested(alone_[alone.first()].since, *latest_)) {
    if (count_max-- == 0) return true;
    end_rest_alone(alone.first());
  }
  for (const ListEnds& list : resting_) {
    while (list.first() != none && has_rested(blocks_[list.first()].since, *latest_)) {
      if (count_max-- == 0) return true;
      give_up(list.first());
    }
  }
  return false;
}

void PortBlocks::rest_alone(std::size_t protocol, std::uint16_t port) {
  const std::uint32_t unit = port / unit_size;
  unit_ports_[protocol][unit].alone |= std::uint64_t{1} << port % unit_size & inside_[unit];
  recount(protocol, unit);
  if (alone_units_.has_any({unit, 1})) Alone::remove(alone_, alone_by_time_, unit);
  alone_units_.add({unit, 1});
  alone_[unit].since = latest_.value_or(0);
  Alone::append(alone_, alone_by_time_, unit);
}

// Somebody has it.
void PortBlocks::rests_no_more(std::size_t protocol, std::uint16_t port) {
  const std::uint32_t unit = port / unit_size;
  std::uint64_t& alone = unit_ports_[protocol][unit].alone;
  if (alone == 0) return;
  alone &= ~(std::uint64_t{1} << port % unit_size);
  recount(protocol, unit);
}

// Its ports are free from now on, whatever the threads' clocks say. As none was released just now,
// their block would not know.
void PortBlocks::end_rest_alone(std::uint32_t unit) {
  Alone::remove(alone_, alone_by_time_, unit);
  alone_units_.remove(UnitRun{unit, 1});
  for (std::size_t protocol = 0; protocol < spaces_.size(); ++protocol) {
    std::uint64_t alone = std::exchange(unit_ports_[protocol][unit].alone, 0);
    for (; alone != 0; alone &= alone - 1) {
      const std::uint32_t port =
          unit * unit_size + static_cast<std::uint32_t>(std::countr_zero(alone));
      spaces_[protocol]->end_rest(static_cast<std::uint16_t>(port));
    }
    recount(protocol, unit);
  }
  const std::uint32_t block = block_of_unit_[unit] - std::uint32_t{1};
  if (block != none && shares_mappings_) list_all(block, blocks_[block].rests);
}

// The one of those that have rested longest that the owner may have, of the parity of `like` if
// there is one.
std::optional<std::uint16_t> PortBlocks::find_alone(std::uint32_t owner, std::size_t protocol,
                                                    Wanted wanted, std::uint16_t like) const {
  const std::uint64_t parity = std::uint64_t{0x5555'5555'5555'5555} << (like & 1);
  std::uint32_t next = none;
  for (std::uint32_t unit = alone_by_time_.first(); unit != none; unit = next) {
    next = alone_[unit].link.next;
    const Wanted own = unit < low_units ? Wanted::low : Wanted::high;
    if (wanted != Wanted::any && wanted != own) continue;
    const std::uint32_t block = block_of_unit_[unit] - std::uint32_t{1};
    if (block != none && blocks_[block].owner != owner && !blocks_[block].rests) continue;
    const std::uint32_t first = unit * unit_size;
    const std::uint64_t withheld =
        spaces_[protocol]->withheld_around(static_cast<std::uint16_t>(first));
    const std::uint64_t ports = unit_ports_[protocol][unit].alone & ~withheld;
    if (ports == 0) continue;
    const std::uint64_t best = (ports & parity) != 0 ? ports & parity : ports;
    return static_cast<std::uint16_t>(first + static_cast<std::uint32_t>(std::countr_zero(best)));
  }
  return {};
}

}  // namespace swnat
