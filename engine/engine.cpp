#include "swnat/engine.h"

#include <algorithm>
#include <stdexcept>

#include "engine/checked_options.h"
#include "engine/engine_state.h"
#include "engine/memory_size.h"

namespace swnat {
namespace {

constexpr std::uint32_t event_capacity_min = 16;
constexpr std::uint32_t event_capacity_max = 1u << 24;

void check(const SessionPattern& pattern) {
  if (!pattern.state.empty() && !is_session_state(pattern.state)) {
    throw std::invalid_argument("no session has the state '" + pattern.state + "'");
  }
  std::uint64_t next = 0;
  for (const NamespaceRange& range : pattern.namespaces) {
    if (range.first < next || range.last < range.first) {
      throw std::invalid_argument("namespaces that are meant must be sorted and apart");
    }
    next = std::uint64_t{range.last} + 1;
  }
}

// Without room a listing would never end.
void check_room(std::size_t room) {
  if (room == 0) throw std::invalid_argument("there must be room for what is listed");
}

}  // namespace

Engine::Engine(const EngineOptions& options, const std::shared_ptr<const Policy>& policy)
    : state_(std::make_unique<State>(with_keys(options), policy)) {}

Engine::~Engine() = default;

std::size_t Engine::session_memory_size(const EngineOptions& options, const Policy& policy) {
  return swnat::session_memory_size(options.shards, capacity_of(options), policy);
}

std::size_t Engine::memory_size(const EngineOptions& options, const Policy& policy) {
  return swnat::memory_size(options, capacity_of(options), policy);
}

std::optional<std::string> Engine::session_memory_fault(const EngineOptions& options,
                                                        const Policy& policy,
                                                        std::span<const std::byte> memory) {
  return swnat::session_memory_fault(
      memory, format_of(options, policy),
      swnat::session_memory_size(options.shards, capacity_of(options), policy));
}

void Engine::rebase_session_memory(const EngineOptions& options, const Policy& policy, Time then,
                                   Time now) {
  if (options.session_memory.size() < session_memory_size(options, policy)) {
    throw SessionMemoryError("is cut short");
  }
  swnat::rebase_session_memory(options.session_memory, format_of(options, policy), policy,
                               (now - then).count());
}

std::optional<PairingKey> Engine::pairing_key(std::span<const std::byte> session_memory) {
  return pairing_key_of(session_memory);
}

void Engine::translate(std::span<Packet> packets, Time now) {
  while (!packets.empty()) {
    const std::size_t size = std::min(packets.size(), batch_max);
    state_->translate(packets.first(size), now);
    packets = packets.subspan(size);
  }
}

Engine::Outcome Engine::outbound(std::span<std::uint8_t> bytes, NamespaceId namespace_id,
                                 Time now) {
  Packet packet{.bytes = bytes, .namespace_id = namespace_id, .direction = Direction::outbound};
  state_->translate({&packet, 1}, now);
  return {packet.reason, packet.namespace_id, packet.datagram};
}

Engine::Outcome Engine::inbound(std::span<std::uint8_t> bytes, Time now) {
  Packet packet{.bytes = bytes, .direction = Direction::inbound};
  state_->translate({&packet, 1}, now);
  return {packet.reason, packet.namespace_id, packet.datagram};
}

Engine::Kept Engine::keep_session(const SessionName& name, Time now) {
  if (name.protocol != protocol::tcp && name.protocol != protocol::udp) {
    throw std::invalid_argument("only sessions of TCP and UDP can be kept");
  }
  if (name.internal.address.index() != name.remote.address.index()) {
    throw std::invalid_argument("both ends of a session are of one family");
  }
  return state_->keep_session(name, now);
}

std::uint32_t Engine::expire(std::uint32_t shard, Time now, std::uint32_t budget) {
  return state_->expire(shard, now, budget);
}

void Engine::set_policy(const std::shared_ptr<const Policy>& policy, Time now) {
  state_->set_policy(policy, tick_of(now));
}

std::optional<IpEndpoint> Engine::propose_external(const ForwardWish& wish, Time now) {
  return state_->propose_external(wish, tick_of(now));
}

void Engine::withhold(std::uint8_t protocol, const PortBits& ports) {
  state_->withhold(protocol, ports);
}

Counters Engine::counters() const {
  return state_->counters();
}

std::uint64_t Engine::session_count() const {
  return state_->session_count();
}

std::uint64_t Engine::sessions_made() const {
  return state_->sessions_made();
}

EndCounts Engine::ended_sessions() const {
  return state_->ended_sessions();
}

std::vector<NamespaceUse> Engine::namespaces() const {
  return state_->namespaces();
}

std::vector<NamespaceTraffic> Engine::namespace_traffic() const {
  TrafficReading reading;
  for (;;) {
    if (auto traffic = namespace_traffic(reading)) return *std::move(traffic);
  }
}

std::optional<std::vector<NamespaceTraffic>> Engine::namespace_traffic(
    TrafficReading& reading) const {
  return state_->namespace_traffic(reading);
}

std::vector<ForwardUse> Engine::forwards() const {
  return state_->forwards();
}

std::vector<PortBlockView> Engine::port_blocks() const {
  return state_->port_blocks();
}

std::vector<PortUse> Engine::ports(Time now) const {
  return state_->ports(tick_of(now));
}

Outlook Engine::outlook(const Question& question, Time now) const {
  const bool is_icmp = question.protocol == protocol::icmp || question.protocol == protocol::icmpv6;
  if (!is_icmp && question.protocol != protocol::tcp && question.protocol != protocol::udp &&
      !protocol::is_portless(question.protocol)) {
    throw std::invalid_argument("a protocol that makes no sessions has no outlook");
  }
  if (question.source.address.index() != question.destination.address.index()) {
    throw std::invalid_argument("the ends of a packet are of one family");
  }
  return state_->outlook(question, tick_of(now));
}

std::optional<std::size_t> Engine::sessions(Cursor& cursor, std::span<SessionView> out,
                                            Time now) const {
  return sessions({}, cursor, out, now);
}

std::optional<std::size_t> Engine::sessions(const SessionPattern& pattern, Cursor& cursor,
                                            std::span<SessionView> out, Time now) const {
  check(pattern);
  check_room(out.size());
  return state_->sessions(pattern, cursor, out, tick_of(now));
}

std::optional<std::size_t> Engine::mappings(const SessionPattern& pattern, MappingCursor& cursor,
                                            std::span<MappingView> out, Time now) const {
  check(pattern);
  check_room(out.size());
  return state_->mappings(pattern, cursor, out, tick_of(now));
}

std::optional<std::size_t> Engine::end_sessions(const SessionPattern& pattern, Cursor& cursor,
                                                Time now) {
  check(pattern);
  return state_->end_sessions(pattern, cursor, tick_of(now));
}

void Engine::listen(EventKinds kinds, std::uint32_t capacity) {
  if (capacity < event_capacity_min || capacity > event_capacity_max) {
    throw std::invalid_argument("a capacity for events must be 16 to 16777216");
  }
  state_->listen(kinds, capacity);
}

void Engine::stop_listening() {
  state_->listen({}, 0);
}

std::size_t Engine::take_events(std::span<Event> out, Time now) {
  return state_->take_events(out, now);
}

std::uint32_t Engine::shard_count() const {
  return state_->shard_count();
}

}  // namespace swnat
