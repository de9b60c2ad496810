// Theory of operation
//
// A packet's life: parse → classify → find its session, or establish one → update its state →
// rewrite → verdict. For a batch the first steps are done for all packets before the next, so that
// the cache lines of the index and then of the sessions arrive side by side; whatever does not find
// a live session that way takes the slow way, alone. No thread ever holds two shards' locks: a
// hairpin is two steps, and so is making room in a namespace whose oldest session another shard
// has.
#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <stdexcept>

#include "engine/session_memory.h"
#include "engine/shard.h"

namespace swnat {
namespace {

constexpr std::size_t batch_max = 32;
constexpr std::uint32_t max_sessions_allowed = 1u << 28;
// Another thread may take the room that was made; after that many rounds the packet is dropped.
constexpr int eviction_rounds = 8;

Tick tick_of(Time now) {
  return static_cast<Tick>(now.count());
}

std::uint32_t checked_capacity(const EngineOptions& options) {
  if (!std::has_single_bit(options.shards) || options.shards > max_shards) {
    throw std::invalid_argument("shards must be a power of two, 1 to 64");
  }
  if (options.max_sessions == 0 || options.max_sessions > max_sessions_allowed) {
    throw std::invalid_argument("max_sessions must be 1 to 268435456");
  }
  return (options.max_sessions - 1) / options.shards + 1;
}

// A packet of a batch between two passes.
struct Work {
  Parsed<Ipv4> parsed;
  FlowKey<Ipv4> key;
  std::uint64_t hash;
  std::uint32_t shard;
  SessionRef candidate;
};

// Packets of a batch by their place in it.
using Places = std::uint32_t;
static_assert(batch_max <= std::numeric_limits<Places>::digits);

template <class Each>
void for_each(Places places, Each each) {
  for (; places != 0; places &= places - 1)
    each(static_cast<std::size_t>(std::countr_zero(places)));
}

}  // namespace

class Engine::State {
 public:
  State(const EngineOptions& options, std::shared_ptr<const Policy> policy);

  void translate_batch(std::span<Packet> packets, Tick now);
  void translate_one(Packet& packet, Tick now);
  void set_policy(std::shared_ptr<const Policy> policy);

  Shard<Ipv4>& shard(std::uint32_t number) { return *shards_[number]; }
  const Shard<Ipv4>& shard(std::uint32_t number) const { return *shards_[number]; }
  std::uint32_t shard_count() const { return static_cast<std::uint32_t>(shards_.size()); }
  Counters counters() const;
  std::vector<NamespaceUse> namespaces() const;

 private:
  std::uint32_t shard_of(const Parsed<Ipv4>& parsed, Direction direction) const;
  bool classify(Packet& packet, Work& work);
  Places translate_established(std::span<Packet> packets, std::span<Work> works, Places places,
                               Tick now);
  Reason outbound(const Parsed<Ipv4>& parsed, Packet& packet, Tick now);
  Reason inbound(const Parsed<Ipv4>& parsed, Packet& packet, Tick now);
  Reason hairpin(const Parsed<Ipv4>& parsed, Packet& packet, Tick now);
  Reason icmp_error(const Parsed<Ipv4>& parsed, Packet& error, Tick now);
  void translate_parsed(const Parsed<Ipv4>& parsed, Packet& packet, Tick now);
  bool evict(std::uint32_t slot);
  void enforce_limits();
  void make_shards(const EngineOptions& options);
  void finish(Packet& packet, Reason reason);

  Secret secret_;
  mutable std::mutex policy_mutex_;  // guards the next two
  std::unordered_map<NamespaceId, std::uint32_t> slots_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::atomic<bool> hairpin_;
  mutable NamespaceUses uses_;
  std::optional<ReservedArray<std::byte>> own_memory_;
  std::vector<std::unique_ptr<Shard<Ipv4>>> shards_;
  // Packets that ended outside a shard, by reason.
  std::array<std::atomic<std::uint64_t>, reason_count> other_counters_{};
};

Engine::State::State(const EngineOptions& options, std::shared_ptr<const Policy> policy)
    : secret_(options.secret),
      snapshot_(std::make_shared<Snapshot>(std::move(policy), slots_)),
      hairpin_(snapshot_->policy().hairpin) {
  make_shards(options);
}

void Engine::State::make_shards(const EngineOptions& options) {
  const std::uint32_t capacity = checked_capacity(options);
  const std::size_t size = swnat::session_memory_size(options.shards, capacity);
  std::span<std::byte> memory = options.session_memory;
  if (memory.empty()) {
    own_memory_.emplace(size);
    memory = {own_memory_->data(), size};
  } else if (memory.size() < size) {
    throw std::invalid_argument("the session memory is smaller than session_memory_size()");
  }
  const bool has_sessions = attach_session_memory(
      memory,
      session_memory_format(options.shards, capacity, snapshot_->policy(), options.time_epoch));
  auto& header = *reinterpret_cast<SessionMemoryHeader*>(memory.data());
  const std::size_t shard_size = capacity * sizeof(Session<Ipv4>);
  for (std::uint32_t number = 0; number < options.shards; ++number) {
    const auto records =
        memory.subspan(session_memory_header_size + number * shard_size, shard_size);
    header.used[number] = std::min(header.used[number], capacity);
    const ShardOptions own{number, options.shards, options.secret, records, header.used[number]};
    shards_.push_back(std::make_unique<Shard<Ipv4>>(own, snapshot_, uses_));
    if (has_sessions) shards_.back()->adopt();
  }
  if (has_sessions) enforce_limits();
}

std::uint32_t Engine::State::shard_of(const Parsed<Ipv4>& parsed, Direction direction) const {
  const bool is_inbound = direction == Direction::inbound;
  return shard_of_port(is_inbound ? parsed.destination_port : parsed.source_port, shard_count());
}

// Whether the packet may have an established session; otherwise it already has its verdict.
bool Engine::State::classify(Packet& packet, Work& work) {
  if (const auto fault = parse(packet.bytes, packet.direction, work.parsed)) {
    finish(packet, *fault);
    return false;
  }
  const Parsed<Ipv4>& parsed = work.parsed;
  work.key = packet.direction == Direction::inbound
                 ? FlowKey<Ipv4>::outside_flow(parsed.protocol, parsed.leg_from_outside())
                 : FlowKey<Ipv4>::inside_flow(packet.namespace_id, parsed.protocol,
                                              parsed.leg_from_inside());
  work.hash = work.key.hash(secret_);
  work.shard = shard_of(parsed, packet.direction);
  return true;
}

void Engine::State::translate_batch(std::span<Packet> packets, Tick now) {
  Work works[batch_max];
  Places alone = 0;    // packets that take the slow way
  Places steered = 0;  // packets that may have an established session
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (!classify(packets[i], works[i])) continue;
    const Places place = Places{1} << i;
    if (packets[i].direction == Direction::hairpin || works[i].parsed.is_icmp_error) {
      alone |= place;
      continue;
    }
    steered |= place;
    shard(works[i].shard).index().prefetch(works[i].hash);
  }
  while (steered != 0) {
    const std::uint32_t first = works[std::countr_zero(steered)].shard;
    Places together = 0;
    for_each(steered, [&](std::size_t i) {
      if (works[i].shard == first) together |= Places{1} << i;
    });
    steered &= ~together;
    alone |= translate_established(packets, works, together, now);
  }
  for_each(alone, [&](std::size_t i) { translate_parsed(works[i].parsed, packets[i], now); });
}

// All of one shard. Returns those that have no established session.
Places Engine::State::translate_established(std::span<Packet> packets, std::span<Work> works,
                                            Places places, Tick now) {
  Shard<Ipv4>& own = shard(works[static_cast<std::size_t>(std::countr_zero(places))].shard);
  Places misses = 0;
  const std::lock_guard lock(own.mutex);
  for_each(places, [&](std::size_t i) { works[i].candidate = own.candidate(works[i].hash); });
  for_each(places, [&](std::size_t i) {
    std::optional<Reason> reason;
    if (works[i].candidate != no_session) {
      reason = own.translate_established(works[i].candidate, works[i].key, works[i].parsed,
                                         packets[i], now);
    }
    if (reason) {
      packets[i].reason = *reason;
      own.count(*reason);
    } else {
      misses |= Places{1} << i;
    }
  });
  return misses;
}

void Engine::State::translate_one(Packet& packet, Tick now) {
  Parsed<Ipv4> parsed;
  if (const auto fault = parse(packet.bytes, packet.direction, parsed)) {
    finish(packet, *fault);
  } else {
    translate_parsed(parsed, packet, now);
  }
}

void Engine::State::translate_parsed(const Parsed<Ipv4>& parsed, Packet& packet, Tick now) {
  switch (packet.direction) {
    case Direction::outbound:
      finish(packet, outbound(parsed, packet, now));
      return;
    case Direction::inbound:
      finish(packet, inbound(parsed, packet, now));
      return;
    case Direction::hairpin:
      finish(packet, hairpin(parsed, packet, now));
      return;
  }
}

Reason Engine::State::icmp_error(const Parsed<Ipv4>& parsed, Packet& error, Tick now) {
  Quoted quoted;
  if (const auto fault = parse_quoted(error, parsed, quoted)) return *fault;
  // The local port of the session is the source of what the NAT sent, and the destination of what
  // it delivered.
  const bool is_inbound = error.direction == Direction::inbound;
  const std::uint16_t port =
      is_inbound ? quoted.packet.source_port : quoted.packet.destination_port;
  Shard<Ipv4>& own = shard(shard_of_port(port, shard_count()));
  const std::lock_guard lock(own.mutex);
  return own.icmp_error(parsed, quoted, error, now);
}

Reason Engine::State::outbound(const Parsed<Ipv4>& parsed, Packet& packet, Tick now) {
  if (parsed.is_icmp_error) return icmp_error(parsed, packet, now);
  Shard<Ipv4>& own = shard(shard_of(parsed, Direction::outbound));
  for (int round = 0; round < eviction_rounds; ++round) {
    Shard<Ipv4>::Outcome outcome;
    {
      const std::lock_guard lock(own.mutex);
      outcome = own.outbound(parsed, packet, now);
    }
    if (!outcome.at_limit) return outcome.reason;
    if (!evict(*outcome.at_limit)) break;
  }
  return Reason::session_limit;
}

Reason Engine::State::inbound(const Parsed<Ipv4>& parsed, Packet& packet, Tick now) {
  if (parsed.is_icmp_error) return icmp_error(parsed, packet, now);
  Shard<Ipv4>& own = shard(shard_of(parsed, Direction::inbound));
  const std::lock_guard lock(own.mutex);
  return own.inbound(parsed, packet, now);
}

// RFC 4787 REQ-9: the receiver sees the sender's external endpoint.
Reason Engine::State::hairpin(const Parsed<Ipv4>& parsed, Packet& packet, Tick now) {
  if (!hairpin_.load(std::memory_order_relaxed)) return Reason::hairpin_off;
  const Reason sent = outbound(parsed, packet, now);
  if (verdict_of(sent) == Verdict::drop) return sent;
  Packet received = packet;
  received.direction = Direction::inbound;
  // The first half wrote the full sum.
  if (packet.checksum == ChecksumState::partial) received.checksum = ChecksumState::complete;
  Parsed<Ipv4> translated;
  if (const auto fault = parse(received.bytes, Direction::inbound, translated)) return *fault;
  const Reason reason = inbound(translated, received, now);
  if (verdict_of(reason) == Verdict::drop) return reason;
  packet.namespace_id = received.namespace_id;
  return Reason::translated_hairpin;
}

// Ends the namespace's least recently active session, wherever it is. False if there was none.
bool Engine::State::evict(std::uint32_t slot) {
  Shard<Ipv4>* owner = nullptr;
  Tick earliest = 0;
  for (const auto& one : shards_) {
    const std::lock_guard lock(one->mutex);
    const std::optional<Tick> oldest = one->oldest(slot);
    if (!oldest || (owner != nullptr && elapsed(earliest, *oldest) >= 0)) continue;
    owner = one.get();
    earliest = *oldest;
  }
  if (owner == nullptr) return false;
  const std::lock_guard lock(owner->mutex);
  return owner->evict_oldest(slot);
}

void Engine::State::finish(Packet& packet, Reason reason) {
  packet.reason = reason;
  other_counters_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
}

void Engine::State::set_policy(std::shared_ptr<const Policy> policy) {
  const std::lock_guard policy_lock(policy_mutex_);
  if (policy && (policy->external != snapshot_->policy().external ||
                 policy->ports != snapshot_->policy().ports)) {
    throw std::invalid_argument("external addresses and ports are fixed for an engine's life");
  }
  const auto next = std::make_shared<const Snapshot>(std::move(policy), slots_);
  hairpin_.store(next->policy().hairpin, std::memory_order_relaxed);
  for (const auto& one : shards_) {
    const std::lock_guard lock(one->mutex);
    one->set_snapshot(next);
  }
  snapshot_ = next;
  enforce_limits();
}

void Engine::State::enforce_limits() {
  for (const Tenant& tenant : snapshot_->tenants()) {
    while (uses_.count(tenant.slot) > tenant.session_limit && evict(tenant.slot)) {
    }
  }
}

Counters Engine::State::counters() const {
  Counters sum{};
  for (std::size_t i = 0; i < reason_count; ++i) {
    sum[i] = other_counters_[i].load(std::memory_order_relaxed);
  }
  for (const auto& one : shards_) {
    const std::lock_guard lock(one->mutex);
    for (std::size_t i = 0; i < reason_count; ++i) sum[i] += one->counters()[i];
  }
  return sum;
}

std::vector<NamespaceUse> Engine::State::namespaces() const {
  const std::lock_guard lock(policy_mutex_);
  std::vector<NamespaceUse> uses;
  for (const Tenant& tenant : snapshot_->tenants()) {
    uses.push_back({tenant.id, uses_.count(tenant.slot), tenant.session_limit});
  }
  return uses;
}

Engine::Engine(const EngineOptions& options, std::shared_ptr<const Policy> policy)
    : state_(std::make_unique<State>(options, std::move(policy))) {}

Engine::~Engine() = default;

std::size_t Engine::session_memory_size(const EngineOptions& options) {
  return swnat::session_memory_size(options.shards, checked_capacity(options));
}

void Engine::translate(std::span<Packet> packets, Time now) {
  while (!packets.empty()) {
    const std::size_t size = std::min(packets.size(), batch_max);
    state_->translate_batch(packets.first(size), tick_of(now));
    packets = packets.subspan(size);
  }
}

Reason Engine::outbound(std::span<std::uint8_t> bytes, NamespaceId namespace_id, Time now) {
  Packet packet{.bytes = bytes, .namespace_id = namespace_id, .direction = Direction::outbound};
  state_->translate_one(packet, tick_of(now));
  return packet.reason;
}

Engine::Inbound Engine::inbound(std::span<std::uint8_t> bytes, Time now) {
  Packet packet{.bytes = bytes, .direction = Direction::inbound};
  state_->translate_one(packet, tick_of(now));
  return {packet.reason, packet.namespace_id};
}

std::uint32_t Engine::expire(std::uint32_t shard, Time now, std::uint32_t budget) {
  Shard<Ipv4>& own = state_->shard(shard);
  const std::lock_guard lock(own.mutex);
  return own.expire(tick_of(now), budget);
}

void Engine::set_policy(std::shared_ptr<const Policy> policy) {
  state_->set_policy(std::move(policy));
}

Counters Engine::counters() const {
  return state_->counters();
}

std::vector<NamespaceUse> Engine::namespaces() const {
  return state_->namespaces();
}

std::uint32_t Engine::shard_count() const {
  return state_->shard_count();
}

std::uint64_t Engine::session_count() const {
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < state_->shard_count(); ++i) {
    Shard<Ipv4>& one = state_->shard(i);
    const std::lock_guard lock(one.mutex);
    sum += one.session_count();
  }
  return sum;
}

std::size_t Engine::sessions(Cursor& cursor, std::span<SessionView> out, Time now) const {
  while (cursor.shard < state_->shard_count()) {
    Shard<Ipv4>& one = state_->shard(cursor.shard);
    const std::lock_guard lock(one.mutex);
    const std::size_t copied = one.copy_sessions(cursor.position, out, tick_of(now));
    if (copied != 0) return copied;
    if (one.is_end(cursor.position)) cursor = {cursor.shard + 1, 0};
  }
  return 0;
}

}  // namespace swnat
