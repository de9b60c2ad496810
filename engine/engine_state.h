// What the families and shards have in common: the policy, the namespaces' limits, the memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/lock.h"
#include "engine/base/memory.h"
#include "engine/base/tick.h"
#include "engine/eviction.h"
#include "engine/session/session_memory.h"
#include "engine/translator.h"
#include "swnat/engine.h"

namespace swnat {

inline Tick tick_of(Time now) {
  return static_cast<Tick>(now.count());
}

// As Engine has it, for arguments that it has checked.
class Engine::State {
 public:
  State(const EngineOptions& options, const std::shared_ptr<const Policy>& policy);

  void translate(std::span<Packet> packets, Time now);
  Kept keep_session(const SessionName& name, Time now);
  void set_policy(const std::shared_ptr<const Policy>& policy, Tick now);
  std::optional<IpEndpoint> propose_external(const ForwardWish& wish, Tick now);
  void withhold(std::uint8_t protocol, const PortBits& ports);
  std::uint32_t expire(std::uint32_t shard, Time now, std::uint32_t budget);
  Counters counters() const;
  std::uint64_t session_count() const;
  std::uint64_t sessions_made() const;
  EndCounts ended_sessions() const;
  std::vector<NamespaceUse> namespaces() const;
  std::optional<std::vector<NamespaceTraffic>> namespace_traffic(TrafficReading& reading) const;
  std::vector<ForwardUse> forwards() const;
  std::vector<PortBlockView> port_blocks() const;
  std::vector<PortUse> ports(Tick now) const;
  Outlook outlook(const Question& question, Tick now) const;
  std::optional<std::size_t> sessions(const SessionPattern& pattern, Cursor& cursor,
                                      std::span<SessionView> out, Tick now) const;
  std::optional<std::size_t> mappings(const SessionPattern& pattern, MappingCursor& cursor,
                                      std::span<MappingView> out, Tick now) const;
  std::optional<std::size_t> end_sessions(const SessionPattern& pattern, Cursor& cursor, Tick now);
  void listen(EventKinds kinds, std::uint32_t capacity);
  std::size_t take_events(std::span<Event> out, Time now);
  std::uint32_t shard_count() const { return shard_count_; }

 private:
  std::vector<NamespaceTraffic> tell_traffic(std::span<const TwoWayTraffic> by_slot) const;
  std::vector<ForwardUse> forwards_of_policy() const SWNAT_REQUIRES(policy_mutex_);
  std::span<std::byte> memory_of(const EngineOptions& options, const Policy& policy);
  void enforce_limits(Tick now) SWNAT_REQUIRES(policy_mutex_);
  // What is noted is a minute or less behind, so rarely written.
  void note_use(Time time) {
    if (!used_at_.is_noted(time.count())) [[unlikely]]
      note_use_of_other_times(time);
  }
  void note_use_of_other_times(Time time);
  void end_all(Tick now);
  template <class Do>
  void for_each_shard(Do&& act) const;
  // Counted through both families; by this number with_shard() finds one.
  std::size_t all_shards_count() const { return v4_.shards().size() + v6_.shards().size(); }
  template <class Do>
  auto with_shard(std::size_t number, Do&& act) const;
  // Where events are told: by each shard, and of all port blocks. with_outlet() locks them.
  std::size_t outlet_count() const { return all_shards_count() + (has_port_blocks_ ? 1 : 0); }
  template <class Do>
  auto with_outlet(std::size_t number, Do&& act);

  std::uint32_t shard_count_;
  mutable Mutex policy_mutex_;
  Slots slots_ SWNAT_GUARDED_BY(policy_mutex_);
  std::shared_ptr<const Snapshot> snapshot_ SWNAT_GUARDED_BY(policy_mutex_);
  PortBits withheld_tcp_ SWNAT_GUARDED_BY(policy_mutex_);
  PortBits withheld_udp_ SWNAT_GUARDED_BY(policy_mutex_);
  // By the namespaces' slots.
  mutable std::vector<TwoWayTraffic> told_traffic_ SWNAT_GUARDED_BY(policy_mutex_);
  mutable NamespaceUses uses_;
  std::optional<ReservedArray<std::byte>> own_memory_;
  bool has_sessions_ = false;  // the memory was written before
  std::span<std::byte> memory_;
  UsedAt used_at_;
  Mutex use_mutex_;  // whoever finds sessions that are over ends them before others go on
  Identifications identifications_;
  const bool has_port_blocks_;
  SharedEventOutlet block_events_;
  Eviction eviction_;
  Translator<Ipv4> v4_;
  Translator<Ipv6> v6_;
  const bool populates_;
  Mutex listening_mutex_;
  std::uint32_t event_capacity_ SWNAT_GUARDED_BY(listening_mutex_) = 0;  // 0: nobody listens
  // The outlet whose events are read next.
  std::size_t next_to_tell_ SWNAT_GUARDED_BY(listening_mutex_) = 0;
};

}  // namespace swnat
