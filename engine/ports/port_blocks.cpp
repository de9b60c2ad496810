#include "engine/ports/port_blocks.h"

#include <algorithm>

namespace swnat {
namespace {

// Blocks, and units with ports that rest alone, whose rest is ended in a call that looks for a
// port.
constexpr int ended_per_call = 8;

}  // namespace

PortBlocks::PortBlocks(const Policy& policy, std::uint32_t shards, const IpAddress& external,
                       const Spaces& spaces, SharedEventOutlet& events)
    : spaces_(spaces),
      shares_mappings_(policy.mapping == Mapping::endpoint_independent),
      smallest_(std::max(1u, 2 * shards / UnitRun::unit_size)),
      largest_(smallest_),
      ports_(policy.ports, spaces),
      records_(policy, external, events) {
  for (const NamespacePolicy& one : policy.namespaces) {
    largest_ = std::max(largest_, one.port_block / UnitRun::unit_size);
  }
}

std::size_t PortBlocks::memory_size() {
  return UnitPorts::memory_size() + BlockRecords::memory_size() + sizeof(PortBlocks);
}

void PortBlocks::populate() {
  const Lock lock(mutex_);
  ports_.populate();
  records_.populate();
}

// --- ports

std::optional<std::uint16_t> PortBlocks::take(const BlockTaker& taker, std::size_t protocol,
                                              std::uint32_t shard, std::uint16_t like,
                                              std::uint64_t random, Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  PortSpace& space = *spaces_[protocol];
  const std::uint32_t around = records_.block_at(like);
  if (records_.belongs(around, taker.owner) && space.take_itself(shard, like, now)) {
    records_.begin_use(around, kind_of(protocol, like));
    ports_.forget_rest(protocol, like);
    return like;
  }
  const std::uint32_t kind = BlockRecords::kind_of(protocol, space.class_for(like));
  const PortClass wanted = BlockRecords::class_of(kind);
  std::optional<std::uint16_t> port;
  const auto is_taken = [&](const PortRange& block) {
    port = space.take_within(block, shard, like, random, now);
    return port.has_value();
  };
  if (const std::uint32_t block = find_own(taker.owner, kind, is_taken); block != no_ref) {
    records_.begin_use(block, kind);
  } else if (const auto fresh = find_new(taker, protocol, wanted, random, is_taken)) {
    records_.begin_use(take_new(taker, *fresh), kind);
  } else {
    port = find_alone(taker.owner, protocol, wanted, like);
    if (!port || !space.take_resting_itself(shard, *port)) return {};
    std::uint32_t around_it = records_.block_at(*port);
    if (!records_.belongs(around_it, taker.owner)) {
      around_it = take_new(taker, {UnitRun::around(*port, smallest_), around_it});
    }
    records_.begin_use(around_it, kind);
  }
  ports_.forget_rest(protocol, *port);
  return port;
}

bool PortBlocks::has_any(const BlockTaker& taker, std::size_t protocol, std::uint16_t like,
                         std::uint64_t random, Tick now, bool is_look) {
  const Lock lock(mutex_);
  if (!is_look) pass_time(now);
  PortSpace& space = *spaces_[protocol];
  const std::uint32_t kind = BlockRecords::kind_of(protocol, space.class_for(like));
  const PortClass wanted = BlockRecords::class_of(kind);
  const auto is_there = [&](const PortRange& block) { return space.has_within(block, like, now); };
  return find_own(taker.owner, kind, is_there) != no_ref ||
         find_new(taker, protocol, wanted, random, is_there) ||
         find_alone(taker.owner, protocol, wanted, like);
}

void PortBlocks::pass_over(std::size_t protocol, std::uint32_t shard, std::uint16_t port,
                           Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  spaces_[protocol]->release(shard, port, now, PortSpace::Rest::full);
  records_.end_use(records_.block_at(port), kind_of(protocol, port), latest());
  ports_.begin_rest(protocol, port, latest());
}

std::size_t PortBlocks::some_of(NamespaceId owner, std::span<PortRange, searched_max> found,
                                bool moves_on) {
  const Lock lock(mutex_);
  return records_.some_of(owner, found, moves_on);
}

bool PortBlocks::use(NamespaceId owner, std::uint16_t port, Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  const std::uint32_t block = records_.block_at(port);
  if (!records_.belongs(block, owner)) return false;
  records_.begin_use(block, BlockRecords::no_kind);
  return true;
}

void PortBlocks::release(std::size_t protocol, std::uint32_t shard, std::uint16_t port, Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  std::uint32_t kind = BlockRecords::no_kind;
  if (shares_mappings_) {
    spaces_[protocol]->release(shard, port, now, PortSpace::Rest::none);
    kind = kind_of(protocol, port);
  }
  records_.end_use(records_.block_at(port), kind, latest());
}

bool PortBlocks::adopt(NamespaceId owner, std::size_t protocol, std::uint32_t shard,
                       std::uint16_t port) {
  const Lock lock(mutex_);
  const std::uint32_t around = records_.block_at(port);
  if (around != no_ref && !records_.belongs(around, owner)) return false;
  if (shares_mappings_ && !spaces_[protocol]->take_exactly(shard, port)) return false;
  if (around == no_ref) records_.take(owner, UnitRun::around(port, smallest_), latest());
  records_.begin_use(records_.block_at(port),
                     shares_mappings_ ? kind_of(protocol, port) : BlockRecords::no_kind);
  return true;
}

// Aligned runs lie in each other or apart. So of two owners' none can be in the other's way, in
// whatever order they are joined.
void PortBlocks::join_adopted(const std::function<std::uint32_t(NamespaceId)>& size_of) {
  const Lock lock(mutex_);
  for (std::uint32_t unit = 0; unit < BlockUnits::count;) {
    if (!records_.is_block(unit)) {
      ++unit;
      continue;
    }
    const UnitRun own = records_.run_of(unit);
    const NamespaceId owner = records_.owner_of(unit);
    UnitRun run = UnitRun::around(own.ports().first, units_for({owner, size_of(owner)}));
    while (run.count > own.count && !records_.may_join(run, owner)) {
      run = UnitRun::around(own.ports().first, run.count / 2);
    }
    if (run.count > own.count) records_.join(run, owner);
    unit = std::max(unit + own.count, run.first + run.count);
  }
}

bool PortBlocks::has(NamespaceId owner, std::uint16_t port, Tick now) const {
  const Lock lock(mutex_);
  const std::uint32_t block = records_.block_at(port);
  return records_.belongs(block, owner) && !records_.is_due(block, now);
}

// --- rules and withheld ports

void PortBlocks::withheld_changed(std::size_t protocol, std::uint16_t port) {
  const Lock lock(mutex_);
  ports_.withheld_changed(protocol, port);
  const std::uint32_t block = records_.block_at(port);
  if (block == no_ref || !shares_mappings_ || spaces_[protocol]->is_withheld(port)) return;
  records_.list(block, kind_of(protocol, port));
}

void PortBlocks::port_ruled(std::size_t protocol, std::uint16_t port) {
  const Lock lock(mutex_);
  ports_.begin_rule(protocol, port);
}

void PortBlocks::port_rests(std::size_t protocol, std::uint16_t port, Tick now) {
  const Lock lock(mutex_);
  pass_time(now);
  ports_.end_rule(protocol, port);
  if (shares_mappings_) ports_.begin_rest(protocol, port, latest());
}

// --- new blocks

std::uint32_t PortBlocks::take_new(const BlockTaker& taker, const NewBlock& fresh) {
  if (fresh.resting != no_ref) records_.give_up_part(fresh.resting, fresh.run, latest());
  records_.take(taker.owner, fresh.run, latest());
  largest_ = std::max(largest_, units_for(taker));
  return fresh.run.first;
}

std::optional<std::uint16_t> PortBlocks::find_alone(NamespaceId owner, std::size_t protocol,
                                                    PortClass wanted, std::uint16_t like) const {
  return ports_.longest_resting(protocol, wanted, like, records_.open_to(owner));
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
  while (const auto unit = ports_.rested(latest())) {
    if (count_max-- == 0) return true;
    end_rests_alone(*unit);
  }
  for (;;) {
    const std::uint32_t block = records_.rested(latest());
    if (block == no_ref) return false;
    if (count_max-- == 0) return true;
    records_.give_up(block, latest());
  }
}

// As none of its ports was released just now, their block would not know.
void PortBlocks::end_rests_alone(std::uint32_t unit) {
  ports_.end_rests(unit);
  const std::uint32_t block = records_.block_of(unit);
  if (block != no_ref && shares_mappings_) records_.list_all(block);
}

}  // namespace swnat
