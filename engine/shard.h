// One single-threaded NAT: the sessions whose port bits are its own. Its owner holds `mutex` around
// every call but key hashing and prefetching.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "engine/activity.h"
#include "engine/engine.h"
#include "engine/family.h"
#include "engine/flow_key.h"
#include "engine/icmp_error.h"
#include "engine/index.h"
#include "engine/links.h"
#include "engine/namespaces.h"
#include "engine/parse.h"
#include "engine/port_pool.h"
#include "engine/slab.h"
#include "engine/timer_wheel.h"

namespace swnat {

struct ShardOptions {
  std::uint32_t number;
  std::uint32_t shards;
  Secret secret;
  std::span<std::byte> records;  // this shard's part of the session memory
  std::uint32_t& used;           // how many of the records were ever used
};

template <class Family>
class alignas(64) Shard {
 public:
  Shard(const ShardOptions& options, std::shared_ptr<const Snapshot> snapshot, NamespaceUses& uses);

  std::mutex mutex;

  // Takes over the sessions that its records hold, once, before any packet.
  void adopt();

  const Index& index() const { return index_; }

  // For the batch, in two steps: a session worth fetching, and what came of it.
  SessionRef candidate(std::uint64_t hash) const;
  // Translates the packet if `ref` is its live session; nothing if not, and then nothing is
  // changed.
  std::optional<Reason> translate_established(SessionRef ref, const FlowKey<Family>& key,
                                              const Parsed<Family>& parsed, Packet& packet,
                                              Tick now);

  // One packet: finds its session or establishes one. For outbound packets of a namespace that is
  // at its limit, `at_limit` is returned with nothing changed.
  struct Outcome {
    Reason reason;
    std::optional<std::uint32_t> at_limit = {};  // the namespace's slot
  };
  Outcome outbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason inbound(const Parsed<Family>& parsed, Packet& packet, Tick now);

  // An ICMP error about a packet of one of its sessions, from the side that `error.direction` says.
  Reason icmp_error(const Parsed<Family>& parsed, const Quoted& quoted, Packet& error, Tick now);

  std::uint32_t expire(Tick now, std::uint32_t budget);

  // When the namespace's least recently active session here was last active; nothing if it has
  // none.
  std::optional<Tick> oldest(std::uint32_t slot);
  // Ends that session. False if there is none.
  bool evict_oldest(std::uint32_t slot);

  // Ends the sessions of namespaces that are no more.
  void set_snapshot(std::shared_ptr<const Snapshot> snapshot);

  void count(Reason reason) { ++counters_[static_cast<std::size_t>(reason)]; }
  const Counters& counters() const { return counters_; }
  std::uint32_t session_count() const { return slab_.count(); }

  // Copies out live sessions from `position` on, which moves to where the next call begins; looks
  // at a bounded number of records.
  std::size_t copy_sessions(std::uint32_t& position, std::span<SessionView> out, Tick now) const;
  bool is_end(std::uint32_t position) const { return position >= slab_.used(); }

 private:
  using Key = FlowKey<Family>;
  using SessionType = Session<Family>;

  // Which external endpoint a new session has, and whether it was taken from a pool for it.
  struct External {
    typename Family::Address address;
    std::uint16_t port = 0;
    SessionRef mapping = no_session;  // a session of the mapping, if there is one already
  };

  SessionRef find_live(const Key& key, Tick now);
  bool expired(const SessionType& session, Tick now) const;
  Reason translate(SessionRef ref, const Parsed<Family>& parsed, Packet& packet, Tick now);
  void refresh(SessionType& session, Direction direction, Tick now);

  Outcome establish_outbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason establish_inbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  std::optional<Reason> refuses(const Parsed<Family>& parsed) const;
  SessionRef permitting(SessionRef mapping, const Parsed<Family>& parsed, Tick now);
  std::optional<External> external_for(const Tenant& tenant, const Parsed<Family>& parsed,
                                       Tick now);
  Reason establish(const Tenant& tenant, const External& external, SessionType& session,
                   const Parsed<Family>& parsed, Packet& packet, Tick now);

  bool adopt(SessionRef ref);
  SessionRef find(const Key& key) const;
  void link(SessionRef ref, SessionRef mapping, const Tenant& tenant, Tick now);
  void release(SessionRef ref);
  template <Link SessionLinks::*ring>
  SessionRef leave_ring(SessionRef ref, std::span<const KeyKind> kinds);

  PortPool& pool(typename Family::Address address, std::uint8_t protocol);
  typename Family::Address paired_address(const Tenant& tenant,
                                          typename Family::Address internal) const;
  void read_policy();

  Secret secret_;
  std::shared_ptr<const Snapshot> snapshot_;
  // From the policy, as every packet needs them.
  std::array<std::int32_t, session_state_count> timeouts_{};
  bool frees_closed_at_once_ = false;
  bool anybody_may_send_ = false;
  NamespaceUses& uses_;
  Slab<Family> slab_;
  LinkTable links_;
  Index index_;
  TimerWheel wheel_;
  Activity<Family> activity_;
  std::vector<PortPool> pools_;  // for each external address: TCP, UDP, ICMP
  Random random_;
  Counters counters_{};
};

extern template class Shard<Ipv4>;

}  // namespace swnat
