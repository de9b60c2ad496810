#include "engine/engine_state.h"

#include <algorithm>
#include <stdexcept>
#include <unordered_map>

#include "engine/checked_options.h"
#include "engine/session/mapping_list.h"

namespace swnat {
namespace {

constexpr std::size_t events_per_lock = 256;

// A shard needs a port of each parity in every block.
void require_large_blocks(const Policy& policy, std::uint32_t shards) {
  for (const NamespacePolicy& one : policy.namespaces) {
    if (one.port_block == 0 || one.port_block >= 2 * shards) continue;
    throw std::invalid_argument("a port block must have at least two ports for each shard");
  }
}

// What is missing from one sum may have been in the one before.
TwoWayTraffic later_of(const TwoWayTraffic& a, const TwoWayTraffic& b) {
  const auto later = [](const Traffic& one, const Traffic& other) {
    return Traffic{std::max(one.packets, other.packets), std::max(one.bytes, other.bytes)};
  };
  return {later(a.outbound, b.outbound), later(a.inbound, b.inbound)};
}

}  // namespace

Engine::State::State(const EngineOptions& options, const std::shared_ptr<const Policy>& policy)
    : shard_count_(options.shards),
      snapshot_(std::make_shared<Snapshot>(policy, slots_)),
      uses_(options.max_sessions),
      memory_(memory_of(options, snapshot_->policy())),
      used_at_(memory_),
      identifications_(options.secret),
      has_port_blocks_(snapshot_->policy().has_port_blocks()),
      v4_(options, capacity_of(options), memory_, snapshot_, uses_, identifications_, block_events_,
          eviction_),
      v6_(options, capacity_of(options), memory_, snapshot_, uses_, identifications_, block_events_,
          eviction_),
      populates_(options.populate) {
  require_large_blocks(snapshot_->policy(), options.shards);
  if (options.populate) {
    populate(memory_);
    uses_.populate();
    identifications_.populate();
    v4_.populate();
    v6_.populate();
  }
  if (!options.now) return;
  const Time now = *options.now;
  if (has_sessions_) {
    const bool is_recent = used_at_.is_recent(now.count());
    v4_.adopt(tick_of(now), is_recent);
    v6_.adopt(tick_of(now), is_recent);
    enforce_limits(tick_of(now));
  }
  used_at_.note(now.count());
}

std::span<std::byte> Engine::State::memory_of(const EngineOptions& options, const Policy& policy) {
  const std::uint32_t capacity = capacity_of(options);
  const std::size_t size = swnat::session_memory_size(options.shards, capacity, policy);
  std::span<std::byte> memory = options.session_memory;
  if (!memory.empty() && !options.now) {
    throw std::invalid_argument("session memory needs to know what its clock says now");
  }
  if (memory.empty()) {
    own_memory_.emplace(size);
    memory = {own_memory_->data(), size};
  } else if (memory.size() < size) {
    throw std::invalid_argument("the session memory is smaller than session_memory_size()");
  }
  has_sessions_ = attach_session_memory(memory, format_of(options, policy), options.pairing_key);
  return memory;
}

void Engine::State::translate(std::span<Packet> packets, Time time) {
  note_use(time);
  const Tick now = tick_of(time);
  Places left = ~Places{0} >> (batch_max - packets.size());
  left = v4_.translate(packets, left, now);
  if (left != 0) left = v6_.translate(packets, left, now);
  for_each(left, [&](std::size_t i) {
    packets[i].datagram = 0;
    v4_.finish(packets[i], Reason::not_ip);
  });
}

Engine::Kept Engine::State::keep_session(const SessionName& name, Time time) {
  note_use(time);
  const bool is_v4 = std::holds_alternative<Ipv4Address>(name.internal.address);
  return is_v4 ? v4_.keep_session(name, tick_of(time)) : v6_.keep_session(name, tick_of(time));
}

template <class Do>
void Engine::State::for_each_shard(Do&& act) const {
  for (const auto& one : v4_.shards()) act(*one);
  for (const auto& one : v6_.shards()) act(*one);
}

void Engine::State::set_policy(const std::shared_ptr<const Policy>& policy, Tick now) {
  const Lock policy_lock(policy_mutex_);
  const Policy& before = snapshot_->policy();
  if (policy && (policy->external != before.external || policy->ports != before.ports ||
                 policy->mapping != before.mapping)) {
    throw std::invalid_argument(
        "external addresses, ports and mapping are fixed for an engine's life");
  }
  if (policy && policy->has_port_blocks() != before.has_port_blocks()) {
    throw std::invalid_argument("whether there are port blocks is fixed for an engine's life");
  }
  if (policy) require_large_blocks(*policy, shard_count_);
  const auto next = std::make_shared<const Snapshot>(policy, slots_);
  v4_.set_snapshot(next, now);
  v6_.set_snapshot(next, now);
  snapshot_ = next;
  slots_.keep_only(next->policy());
  enforce_limits(now);
}

std::optional<IpEndpoint> Engine::State::propose_external(const ForwardWish& wish, Tick now) {
  const Lock lock(policy_mutex_);
  const NamespaceEntry* tenant = snapshot_->find(wish.namespace_id);
  const bool has_ports = wish.protocol == protocol::tcp || wish.protocol == protocol::udp;
  if (tenant == nullptr || !has_ports) return {};
  return std::holds_alternative<Ipv4Address>(wish.internal.address)
             ? v4_.propose_external(*tenant, wish, now)
             : v6_.propose_external(*tenant, wish, now);
}

void Engine::State::withhold(std::uint8_t protocol, const PortBits& ports) {
  if (protocol != protocol::tcp && protocol != protocol::udp) {
    throw std::invalid_argument("only TCP and UDP ports can be withheld");
  }
  const Lock lock(policy_mutex_);
  PortBits& before = protocol == protocol::tcp ? withheld_tcp_ : withheld_udp_;
  const PortBits changed = before ^ ports;
  if (changed.none()) return;
  before = ports;
  for (std::uint32_t port = 1; port < changed.size(); ++port) {
    if (!changed.test(port)) continue;
    v4_.withhold(protocol, static_cast<std::uint16_t>(port), ports.test(port));
    v6_.withhold(protocol, static_cast<std::uint16_t>(port), ports.test(port));
  }
}

void Engine::State::enforce_limits(Tick now) {
  for (const NamespaceEntry& tenant : snapshot_->namespaces()) {
    eviction_.enforce(uses_, tenant.slot, tenant.session_limit, now);
  }
  for (const ForwardUse& one : forwards_of_policy()) {
    const std::uint32_t slot =
        slots_.forwards.at({one.namespace_id, forward_key(one.protocol, one.external)});
    eviction_.enforce(uses_, slot, one.session_limit, now);
  }
}

// Where nobody called for longer than any timeout, as while a machine sleeps, all sessions are
// over, whatever their ticks say; and that must be so before anybody makes or finds another one.
void Engine::State::note_use_of_other_times(Time time) {
  const Lock lock(use_mutex_);
  if (used_at_.is_noted(time.count())) return;
  if (!used_at_.is_recent(time.count())) end_all(tick_of(time));
  used_at_.note(time.count());
}

void Engine::State::end_all(Tick now) {
  for_each_shard([now](auto& one) {
    std::uint32_t position = 0;
    bool goes_on = true;
    while (goes_on) {
      const Lock lock(one.mutex);
      one.sessions().end_overslept(position, now);
      goes_on = !one.is_end(position);
    }
  });
}

std::uint32_t Engine::State::expire(std::uint32_t shard, Time time, std::uint32_t budget) {
  note_use(time);
  const Tick now = tick_of(time);
  const std::uint32_t looked = v4_.expire(shard, now, budget);
  return looked + v6_.expire(shard, now, budget - looked);
}

Counters Engine::State::counters() const {
  Counters sum{};
  v4_.add_counters(sum);
  v6_.add_counters(sum);
  return sum;
}

std::uint64_t Engine::State::session_count() const {
  std::uint64_t count = 0;
  for_each_shard([&](auto& one) {
    const Lock lock(one.mutex);
    count += one.session_count();
  });
  return count;
}

std::uint64_t Engine::State::sessions_made() const {
  std::uint64_t sum = 0;
  for_each_shard([&](auto& one) {
    const Lock lock(one.mutex);
    sum += one.sessions().made();
  });
  return sum;
}

EndCounts Engine::State::ended_sessions() const {
  EndCounts sum{};
  for_each_shard([&](auto& one) {
    const Lock lock(one.mutex);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += one.ended_sessions()[i];
  });
  return sum;
}

std::vector<NamespaceUse> Engine::State::namespaces() const {
  const Lock lock(policy_mutex_);
  std::unordered_map<NamespaceId, std::uint32_t> blocks;
  for (const PortBlockView& one : port_blocks()) ++blocks[one.namespace_id];
  std::vector<NamespaceUse> uses;
  for (const NamespaceEntry& tenant : snapshot_->namespaces()) {
    uses.push_back({.id = tenant.id,
                    .sessions = uses_.count(tenant.slot),
                    .session_limit = tenant.session_limit,
                    .ports = uses_.port_count(tenant.slot),
                    .port_limit = tenant.policy->port_limit,
                    .port_block = tenant.policy->port_block,
                    .port_blocks = blocks.contains(tenant.id) ? blocks.at(tenant.id) : 0,
                    .evicted = uses_.evicted(tenant.slot),
                    .refused = uses_.refused(tenant.slot),
                    .sessions_made = uses_.made(tenant.slot)});
  }
  return uses;
}

std::vector<ForwardUse> Engine::State::forwards_of_policy() const {
  std::vector<ForwardUse> uses;
  for (const ForwardRule& rule : snapshot_->policy().forwards) {
    if (rule.session_limit == 0) continue;
    const std::uint32_t slot = slots_.forwards.at(room_of(rule));
    uses.push_back({.protocol = rule.protocol,
                    .external = rule.external,
                    .namespace_id = rule.namespace_id,
                    .sessions = uses_.count(slot),
                    .session_limit = rule.session_limit});
  }
  return uses;
}

std::vector<ForwardUse> Engine::State::forwards() const {
  const Lock lock(policy_mutex_);
  return forwards_of_policy();
}

std::vector<PortBlockView> Engine::State::port_blocks() const {
  std::vector<PortBlockView> all;
  v4_.append_port_blocks(all);
  v6_.append_port_blocks(all);
  return all;
}

std::vector<PortUse> Engine::State::ports(Tick now) const {
  std::vector<PortUse> all;
  v4_.append_ports(all, now);
  v6_.append_ports(all, now);
  return all;
}

template <class Do>
auto Engine::State::with_shard(std::size_t number, Do&& act) const {
  const auto first = v4_.shards();
  return number < first.size() ? act(*first[number]) : act(*v6_.shards()[number - first.size()]);
}

std::optional<std::vector<NamespaceTraffic>> Engine::State::namespace_traffic(
    TrafficReading& reading) const {
  if (reading.shard == all_shards_count()) return tell_traffic(reading.by_slot);
  if (reading.by_slot.empty()) {
    const Lock lock(policy_mutex_);
    reading.by_slot.resize(slots_.namespaces.size());
  }
  const bool goes_on = with_shard(reading.shard, [&](auto& one) {
    const Lock lock(one.mutex);
    return one.sessions().table().add_traffic(reading.position, reading.by_slot);
  });
  if (!goes_on) {
    ++reading.shard;
    reading.position = 0;
  }
  return {};
}

std::vector<NamespaceTraffic> Engine::State::tell_traffic(
    std::span<const TwoWayTraffic> by_slot) const {
  const Lock lock(policy_mutex_);
  told_traffic_.resize(slots_.namespaces.size());
  std::transform(by_slot.begin(), by_slot.end(), told_traffic_.begin(), told_traffic_.begin(),
                 later_of);
  std::vector<NamespaceTraffic> traffic;
  for (const NamespaceEntry& tenant : snapshot_->namespaces()) {
    traffic.push_back({tenant.id, told_traffic_[tenant.slot]});
  }
  return traffic;
}

Outlook Engine::State::outlook(const Question& question, Tick now) const {
  const bool is_v4 = std::holds_alternative<Ipv4Address>(question.source.address);
  return is_v4 ? v4_.outlook(question, now) : v6_.outlook(question, now);
}

std::optional<std::size_t> Engine::State::sessions(const SessionPattern& pattern, Cursor& cursor,
                                                   std::span<SessionView> out, Tick now) const {
  if (cursor.shard >= all_shards_count()) return {};
  return with_shard(cursor.shard, [&](auto& one) {
    const Lock lock(one.mutex);
    const std::size_t count = one.sessions().table().copy(pattern, cursor.position, out, now);
    if (one.is_end(cursor.position)) cursor = {cursor.shard + 1, 0};
    return count;
  });
}

std::optional<std::size_t> Engine::State::mappings(const SessionPattern& pattern,
                                                   MappingCursor& cursor,
                                                   std::span<MappingView> out, Tick now) const {
  if (cursor.shard >= all_shards_count()) return {};
  return with_shard(cursor.shard, [&](auto& one) {
    const Lock lock(one.mutex);
    const std::size_t count = copy_mappings(one.sessions().table(), pattern, cursor, out, now);
    if (one.is_end(cursor.position)) cursor = {.shard = cursor.shard + 1};
    return count;
  });
}

std::optional<std::size_t> Engine::State::end_sessions(const SessionPattern& pattern,
                                                       Cursor& cursor, Tick now) {
  if (cursor.shard >= all_shards_count()) return {};
  return with_shard(cursor.shard, [&](auto& one) {
    const Lock lock(one.mutex);
    const std::size_t count = one.sessions().end_meant(pattern, cursor.position, now);
    if (one.is_end(cursor.position)) cursor = {cursor.shard + 1, 0};
    return count;
  });
}

template <class Do>
auto Engine::State::with_outlet(std::size_t number, Do&& act) {
  if (number < all_shards_count()) {
    return with_shard(number, [&](auto& one) {
      const Lock lock(one.mutex);
      return act(one.events());
    });
  }
  const Lock lock(block_events_.mutex);
  return act(block_events_.outlet);
}

// A capacity of 0: listens no more.
void Engine::State::listen(EventKinds kinds, std::uint32_t capacity) {
  const Lock listening_lock(listening_mutex_);
  std::vector<std::unique_ptr<EventRing>> rings(outlet_count());
  const bool changes = capacity != event_capacity_;
  if (changes && capacity != 0) {
    for (auto& ring : rings) {
      ring = std::make_unique<EventRing>(capacity);
      if (populates_) ring->populate();
    }
  }
  for (std::size_t number = 0; number < rings.size(); ++number) {
    with_outlet(number, [&](EventOutlet& one) {
      if (changes) rings[number] = one.swap_ring(std::move(rings[number]));
      one.listen(kinds);
    });
  }
  event_capacity_ = capacity;
}

// Begins where the call before ended, so that nobody waits for ever while others have much to tell.
std::size_t Engine::State::take_events(std::span<Event> out, Time now) {
  const Lock listening_lock(listening_mutex_);
  if (event_capacity_ == 0) return 0;
  const std::size_t outlets = outlet_count();
  std::size_t taken = 0;
  for (std::size_t asked = 0; asked < outlets && taken < out.size(); ++asked) {
    const auto rest = out.subspan(taken, std::min(out.size() - taken, events_per_lock));
    taken += with_outlet(next_to_tell_, [&](EventOutlet& one) { return one.take(rest, now); });
    next_to_tell_ = (next_to_tell_ + 1) % outlets;
  }
  return taken;
}

}  // namespace swnat
