// The sessions of one shard: their records, and all that is derived from these.
//
// Theory of operation
//
// The slab holds the records. Each is in the index under its two flows; where sessions share a
// mapping, they are also in two rings, one of the mapping and one of those with the same remote
// address, and the index knows each ring by one member. In a mapping's ring those that keep the
// mapping (Session::keeps_mapping) come first, from that member on. So a mapping has no record: it
// ends when its last session does. Activity says which session a namespace would miss least, the
// timer wheel when to look at which again.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

#include "engine/policy/namespaces.h"
#include "engine/session/activity.h"
#include "engine/session/age.h"
#include "engine/session/flow_key.h"
#include "engine/session/links.h"
#include "engine/session/session_index.h"
#include "engine/session/session_memory.h"
#include "engine/session/slab.h"
#include "engine/session/timeouts.h"
#include "engine/session/timer_wheel.h"
#include "swnat/session_pattern.h"
#include "swnat/session_view.h"
#include "swnat/traffic.h"

namespace swnat {

inline constexpr std::size_t flow_keys = 2;     // of each session
inline constexpr std::size_t mapping_keys = 3;  // of one that shares its mapping with no other

template <class Family>
class SessionTable {
 public:
  using Key = FlowKey<Family>;
  using Record = Session<Family>;

  SessionTable(const SessionMemoryPart<Family>& memory, const Secret& secret, bool shares_mappings,
               std::shared_ptr<const ForwardNamespaces> forward_namespaces);

  Record& operator[](SessionRef ref) { return slab_[ref]; }
  const Record& operator[](SessionRef ref) const { return slab_[ref]; }
  TcpAside& aside(SessionRef ref) { return asides_[ref]; }
  std::uint32_t count() const { return slab_.count(); }
  std::uint32_t used() const { return slab_.used(); }
  // Sessions that count there.
  std::uint32_t count(std::uint32_t slot) const { return activity_.count(slot); }
  // Where the session counts, and where its namespace does.
  std::uint32_t slot(SessionRef ref) const { return links_[ref].slot; }
  std::uint32_t namespace_slot(SessionRef ref) const {
    return forward_namespaces_->namespace_slot_of(slot(ref));
  }

  void set_timeouts(const StateTimeouts& timeouts) { timeouts_ = timeouts; }
  std::int32_t timeout(SessionState state) const {
    return timeouts_[static_cast<std::size_t>(state)];
  }
  std::int32_t timeout(const Record& session) const { return timeout(session.state); }
  bool expired(const Record& session, Tick now) const {
    return elapsed(session.last_active, now) >= timeout(session);
  }

  // All memory but that of the records, which is its owner's.
  void populate() {
    links_.populate();
    flows_.populate();
    mappings_.populate();
    activity_.populate();
    settled_.populate();
  }
  static constexpr std::size_t bytes_per_slot() {
    return Activity::bytes_per_slot() + sizeof(TwoWayTraffic);
  }

  // Whether it is a mapping's, together with others, rather than one of its own.
  bool shares_mapping(const Record& session) const {
    return shares_mappings_ && !protocol::is_portless(session.protocol);
  }

  // Whether no other session shares its mapping now.
  bool is_alone(SessionRef ref) const {
    return !shares_mapping(slab_[ref]) || links_[ref].mapping.next == ref;
  }

  // Of sessions by their flows, which is what packets of established ones look at, and by what they
  // share with others of their mapping, which new ones do.
  const SessionIndex& flows() const { return flows_; }
  const SessionIndex& mappings() const { return mappings_; }
  // A session worth fetching, which only may be the one that is looked for.
  SessionRef candidate(std::uint64_t hash) const {
    const SessionRef ref = flows_.candidate(hash);
    if (ref != no_session) slab_.prefetch(ref);
    return ref;
  }
  // Of the next sessions to be added, and of what a session shares with others.
  void prefetch_next(std::uint32_t count) const { slab_.prefetch_next(links_, count); }
  void prefetch(SessionRef ref) const {
    slab_.prefetch(ref);
    __builtin_prefetch(&links_[ref]);
    keep_prefetches();
  }
  SessionRef find(const Key& key) { return find(key, key.hash(secret_)); }
  SessionRef find(const Key& key, std::uint64_t hash) {
    return index_of(key.kind).find(hash, [&](SessionRef ref) { return key.finds(slab_[ref]); });
  }

  // A place for a record, or no_session when all are taken. It is filled where it lies, all but its
  // state, and is a session once it is added.
  SessionRef allocate() { return slab_.allocate(links_); }
  bool has_place() const { return slab_.has_place(); }
  // One that comes to nothing.
  void give_back(SessionRef ref) { slab_.free(ref, links_); }
  Record& blank(SessionRef ref) { return slab_.blank(ref); }
  // `mapping`: a session of its mapping, no_session for the first. `slot`: its namespace's.
  void add(SessionRef ref, SessionState state, SessionRef mapping, std::uint32_t slot,
           const FlowHashes& flows, Tick now);

  // Its state has changed, and with it the time to look at it, its rank, and what it does for its
  // mapping.
  void state_changed(SessionRef ref, SessionState before, Tick now);
  // Asks for the memory that this will look at, for these.
  void prefetch_change(std::span<const SessionRef> refs) const;

  // It counts elsewhere from now on.
  void change_slot(SessionRef ref, std::uint32_t slot) {
    activity_.change_slot(links_, ref, slot, slab_[ref].last_active);
  }

  // Asks for the memory that the removal of sessions with these will look at.
  void prefetch_removal(std::span<const KeyHashes> hashes) const;
  // Returns whether it was the last of its mapping, or had one of its own.
  bool remove(SessionRef ref, const KeyHashes& hashes);
  KeyHashes hashes_of(SessionRef ref) const;

  // The next session whose time may be over, or no_session. It is looked at again when its time is
  // over, if it stays.
  SessionRef next_due(Tick now);
  // Whether there may be one, in a few instructions.
  bool may_be_due(Tick now) const { return wheel_.may_be_due(now); }

  // The namespace's session that has to go first, or no_session.
  SessionRef first_to_go(std::uint32_t slot) { return activity_.first_to_go(links_, slab_, slot); }

  // For records that the memory already held: each is either kept, and linked, or dropped.
  void keep(SessionRef ref, SessionRef mapping, std::uint32_t slot, Tick now);
  void drop(SessionRef ref) { slab_.drop(ref, links_); }

  // The session of the mapping that the index knows it by: another one when that ends.
  SessionRef first_of_mapping(SessionRef ref) {
    if (is_alone(ref)) return ref;
    const Key external = Key::of(slab_[ref], KeyKind::external);
    const auto finds = [&](SessionRef one) { return external.finds(slab_[one]); };
    return mappings_.find(external.hash(secret_), finds);
  }
  // The next one of the mapping, and so on to the first one again.
  SessionRef next_of_mapping(SessionRef ref) const {
    return shares_mapping(slab_[ref]) ? links_[ref].mapping.next : ref;
  }

  // The next one that a key of this kind finds as it finds this one, and so on to this one again.
  SessionRef next_alike(SessionRef ref, KeyKind kind) const {
    const bool is_flow = kind == KeyKind::inside_flow || kind == KeyKind::outside_flow;
    if (is_flow || !shares_mapping(slab_[ref])) return ref;
    return kind == KeyKind::permission ? links_[ref].permission.next : links_[ref].mapping.next;
  }

  // Of a record that is a session.
  SessionView view(SessionRef ref, Tick now) const;
  Tick made(SessionRef ref) const { return made_[ref]; }
  Tick age(SessionRef ref, Tick now) const { return age_of(made_[ref], now); }
  // Whether the record is a live session that the pattern means.
  bool is_meant(SessionRef ref, const SessionPattern& pattern, Tick now) const;
  // Copies out such sessions from `position` on, which moves to where the next call begins.
  std::size_t copy(const SessionPattern& pattern, std::uint32_t& position,
                   std::span<SessionView> out, Tick now) const;

  // A packet that the session translated, with the length of its IP packet.
  void count_traffic(SessionRef ref, bool is_inbound, std::size_t length) {
    RecentTraffic& recent = slab_[ref].recent_traffic[std::size_t{is_inbound}];
    if (recent.add(static_cast<std::uint32_t>(length))) [[unlikely]]
      settle(ref, is_inbound);
  }
  // All that the session has translated.
  TwoWayTraffic traffic(SessionRef ref) const {
    TwoWayTraffic all = recent_traffic(ref);
    all.outbound += links_[ref].overflowed.traffic(false);
    all.inbound += links_[ref].overflowed.traffic(true);
    return all;
  }
  // Adds up what the namespaces' sessions have translated, by the namespaces' slots: a bounded part
  // of it, from `position` on, which moves to where the next call begins. False at the end.
  // Whatever sessions do between two calls, nothing is added twice; what overflows or ends
  // meanwhile may be missing, and namespaces whose slots lie behind the last one here are.
  bool add_traffic(std::uint64_t& position, std::span<TwoWayTraffic> by_slot) const;

 private:
  SessionIndex& index_of(KeyKind kind) {
    const bool is_flow = kind == KeyKind::inside_flow || kind == KeyKind::outside_flow;
    return is_flow ? flows_ : mappings_;
  }
  // For a session that may be too old for ticks to tell.
  void bound_age(SessionRef ref, Tick now) { made_[ref] = now - age_of(made_[ref], now); }
  void link(SessionRef ref, SessionRef mapping, std::uint32_t slot, const FlowHashes& flows);
  void join_mapping(SessionRef ref, SessionRef known);
  std::uint64_t hash(const Record& session, KeyKind kind) const {
    return Key::of(session, kind).hash(secret_);
  }
  FlowHashes flow_hashes(const Record& session) const {
    return {hash(session, KeyKind::inside_flow), hash(session, KeyKind::outside_flow)};
  }
  TwoWayTraffic recent_traffic(SessionRef ref) const {
    const RecentTraffic* recent = slab_[ref].recent_traffic;
    return {recent[false].traffic(), recent[true].traffic()};
  }
  void settle(SessionRef ref, bool is_inbound);
  template <Link SessionLinks::*ring>
  SessionRef leave_ring(SessionRef ref, std::initializer_list<std::uint64_t> hashes);

  Secret secret_;
  bool shares_mappings_;
  std::shared_ptr<const ForwardNamespaces> forward_namespaces_;
  StateTimeouts timeouts_{};
  Slab<Family> slab_;
  std::span<TcpAside> asides_;
  std::span<Tick> made_;
  LinkTable links_;
  SessionIndex flows_;
  SessionIndex mappings_;
  TimerWheel wheel_;
  Activity activity_;
  // By namespace slot: all traffic but what its sessions' records have as recent. It only grows.
  ReservedArray<TwoWayTraffic> settled_{namespaces_max};
};

// Records that are looked at under one lock, one after the other, to find some of them: for about
// as long as a batch of packets takes, where none is in the caches.
inline constexpr std::uint32_t records_per_look = 256;

extern template class SessionTable<Ipv4>;
extern template class SessionTable<Ipv6>;

}  // namespace swnat
