#include "engine/session/session_table.h"

#include <algorithm>
#include <cassert>
#include <span>

namespace swnat {

template <class Family>
SessionTable<Family>::SessionTable(const SessionMemoryPart<Family>& memory, const Secret& secret,
                                   bool shares_mappings,
                                   std::shared_ptr<const ForwardNamespaces> forward_namespaces)
    : secret_(secret),
      shares_mappings_(shares_mappings),
      forward_namespaces_(std::move(forward_namespaces)),
      slab_(memory.records, memory.used),
      asides_(memory.asides),
      made_(memory.made),
      links_(memory.records.size()),
      flows_(memory.records.size() * flow_keys),
      mappings_(memory.records.size() * mapping_keys) {}

template <class Family>
void SessionTable<Family>::add(SessionRef ref, SessionState state, SessionRef mapping,
                               std::uint32_t slot, const FlowHashes& flows, Tick now) {
  made_[ref] = now;
  slab_.commit(ref, state);
  link(ref, mapping, slot, flows);
}

template <class Family>
void SessionTable<Family>::keep(SessionRef ref, SessionRef mapping, std::uint32_t slot, Tick now) {
  slab_.keep();
  bound_age(ref, now);
  // Counted by another process, whose wide counters are gone.
  std::ranges::fill(slab_[ref].recent_traffic, RecentTraffic{});
  link(ref, mapping, slot, flow_hashes(slab_[ref]));
}

template <class Family>
void SessionTable<Family>::link(SessionRef ref, SessionRef mapping, std::uint32_t slot,
                                const FlowHashes& flows) {
  const Record& session = slab_[ref];
  assert(flows.inside == hash(session, KeyKind::inside_flow));
  assert(flows.outside == hash(session, KeyKind::outside_flow));
  flows_.insert(flows.inside, ref);
  flows_.insert(flows.outside, ref);
  if (shares_mapping(session)) {
    const std::uint64_t permission_hash = hash(session, KeyKind::permission);
    SessionRef permitted = no_session;
    if (mapping == no_session) {
      Ring<&SessionLinks::mapping>::start(links_, ref);
      mappings_.insert(hash(session, KeyKind::internal), ref);
      mappings_.insert(hash(session, KeyKind::external), ref);
    } else {
      join_mapping(ref, mapping);
      // Only a session of the same mapping can permit the same.
      permitted = find(Key::of(session, KeyKind::permission), permission_hash);
    }
    if (permitted == no_session) {
      Ring<&SessionLinks::permission>::start(links_, ref);
      mappings_.insert(permission_hash, ref);
    } else {
      Ring<&SessionLinks::permission>::join(links_, ref, permitted);
    }
  }
  const Tick now = session.last_active;
  links_[ref].overflowed = {};
  activity_.add(links_, ref, slot, rank_of(session.state), now);
  wheel_.add(links_, ref, now + static_cast<Tick>(timeout(session)), now);
}

// Those that keep the mapping come first, from the one on that the index knows; `known` is any
// member.
template <class Family>
void SessionTable<Family>::join_mapping(SessionRef ref, SessionRef known) {
  using MappingRing = Ring<&SessionLinks::mapping>;
  const Record& session = slab_[ref];
  if (session.is_forward || (session.keeps_mapping() && slab_[known].keeps_mapping())) {
    MappingRing::join(links_, ref, known);
    return;
  }
  const std::uint64_t external = hash(session, KeyKind::external);
  const SessionRef first = find(Key::of(session, KeyKind::external), external);
  if (!session.keeps_mapping() || !slab_[first].keeps_mapping()) {
    MappingRing::join(links_, ref, links_[first].mapping.previous);
  } else {
    MappingRing::join(links_, ref, first);
  }
  if (!session.keeps_mapping() || slab_[first].keeps_mapping()) return;
  mappings_.replace(external, first, ref);
  mappings_.replace(hash(session, KeyKind::internal), first, ref);
}

template <class Family>
void SessionTable<Family>::state_changed(SessionRef ref, SessionState before, Tick now) {
  Record& session = slab_[ref];
  // To look too early is no harm.
  if (timeout(session) < timeout(before)) {
    wheel_.remove(links_, ref);
    wheel_.add(links_, ref, session.last_active + static_cast<Tick>(timeout(session)), now);
  }
  const Rank rank = rank_of(session.state);
  if (rank == rank_of(before)) return;
  activity_.change_rank(links_, ref, rank, session.last_active);
  // The two go together: what does not keep its mapping is not active.
  const bool may_have_changed = session.is_from_outside && !session.is_forward;
  if (!may_have_changed || !shares_mapping(session)) return;
  const SessionRef other = links_[ref].mapping.next;
  if (other == ref) return;
  leave_ring<&SessionLinks::mapping>(
      ref, {hash(session, KeyKind::internal), hash(session, KeyKind::external)});
  join_mapping(ref, other);
}

template <class Family>
void SessionTable<Family>::prefetch_change(std::span<const SessionRef> refs) const {
  for (const SessionRef ref : refs) __builtin_prefetch(&links_[ref]);
  for (const SessionRef ref : refs) {
    for (const SessionRef beside : {links_[ref].activity.previous, links_[ref].activity.next}) {
      if (beside != no_session) __builtin_prefetch(&links_[beside]);
    }
  }
  keep_prefetches();
}

// Takes the session out of a ring. If the index knows the ring by it, another member takes its
// place there, or nothing where it was the last. Returns that other member.
template <class Family>
template <Link SessionLinks::*ring>
SessionRef SessionTable<Family>::leave_ring(SessionRef ref,
                                            std::initializer_list<std::uint64_t> hashes) {
  const SessionRef other = Ring<ring>::leave(links_, ref);
  for (const std::uint64_t hash : hashes) {
    if (other == no_session) {
      mappings_.erase(hash, ref);
    } else {
      mappings_.replace(hash, ref, other);
    }
  }
  return other;
}

template <class Family>
KeyHashes SessionTable<Family>::hashes_of(SessionRef ref) const {
  const Record& session = slab_[ref];
  KeyHashes hashes{.flows = flow_hashes(session)};
  if (shares_mapping(session)) {
    hashes.internal = hash(session, KeyKind::internal);
    hashes.external = hash(session, KeyKind::external);
    hashes.permission = hash(session, KeyKind::permission);
  }
  return hashes;
}

template <class Family>
void SessionTable<Family>::prefetch_removal(std::span<const KeyHashes> hashes) const {
  for (const KeyHashes& one : hashes) {
    flows_.prefetch(one.flows.inside);
    flows_.prefetch(one.flows.outside);
    if (!shares_mappings_) continue;
    mappings_.prefetch(one.internal);
    mappings_.prefetch(one.external);
    mappings_.prefetch(one.permission);
  }
  keep_prefetches();
}

template <class Family>
bool SessionTable<Family>::remove(SessionRef ref, const KeyHashes& hashes) {
  flows_.erase(hashes.flows.inside, ref);
  flows_.erase(hashes.flows.outside, ref);
  bool is_last = true;
  if (shares_mapping(slab_[ref])) {
    leave_ring<&SessionLinks::permission>(ref, {hashes.permission});
    is_last =
        leave_ring<&SessionLinks::mapping>(ref, {hashes.internal, hashes.external}) == no_session;
  }
  wheel_.remove(links_, ref);
  activity_.remove(links_, ref);
  settled_[namespace_slot(ref)] += recent_traffic(ref);
  slab_.free(ref, links_);
  return is_last;
}

// Makes room in a session's record for more packets.
template <class Family>
void SessionTable<Family>::settle(SessionRef ref, bool is_inbound) {
  const std::uint32_t blocks = slab_[ref].recent_traffic[is_inbound].take_blocks();
  links_[ref].overflowed.add(is_inbound, blocks);
  TwoWayTraffic& settled = settled_[namespace_slot(ref)];
  (is_inbound ? settled.inbound : settled.outbound) +=
      {RecentTraffic::packets_per_overflow, std::uint64_t{blocks} * RecentTraffic::block_bytes};
}

// What is settled comes first: so what is settled later on was not added before, or is not found as
// recent any more.
template <class Family>
bool SessionTable<Family>::add_traffic(std::uint64_t& position,
                                       std::span<TwoWayTraffic> by_slot) const {
  constexpr std::uint64_t looked_max = 4096;
  const std::uint64_t all = by_slot.size() + slab_.used();
  const std::uint64_t end = std::min(all, position + looked_max);
  for (; position < end; ++position) {
    if (position < by_slot.size()) {
      by_slot[position] += settled_[position];
      continue;
    }
    const auto ref = static_cast<SessionRef>(position - by_slot.size());
    if (slab_[ref].state == SessionState::free) continue;
    const std::uint32_t slot = namespace_slot(ref);
    if (slot < by_slot.size()) by_slot[slot] += recent_traffic(ref);
  }
  return position < all;
}

template <class Family>
SessionRef SessionTable<Family>::next_due(Tick now) {
  const SessionRef ref = wheel_.next_due(links_, now);
  if (ref == no_session) return no_session;
  const Record& session = slab_[ref];
  activity_.keep_comparable(links_, ref, session.last_active);
  if (!expired(session, now)) bound_age(ref, now);
  wheel_.add(links_, ref, session.last_active + static_cast<Tick>(timeout(session)), now);
  return ref;
}

template <class Family>
SessionView SessionTable<Family>::view(SessionRef ref, Tick now) const {
  const Record& session = slab_[ref];
  // Another thread's clock may be a little ahead.
  const std::int32_t idle = std::max(elapsed(session.last_active, now), 0);
  return {session.namespace_id,
          session.protocol,
          {session.inside.local, session.inside.local_port},
          {session.outside.local, session.outside.local_port},
          {session.outside.remote, session.outside.remote_port},
          text_of(session.state),
          std::chrono::milliseconds(age(ref, now)),
          std::chrono::milliseconds(idle),
          std::chrono::milliseconds(timeout(session) - idle),
          traffic(ref)};
}

template <class Family>
bool SessionTable<Family>::is_meant(SessionRef ref, const SessionPattern& pattern, Tick now) const {
  const Record& session = slab_[ref];
  return session.state != SessionState::free && !expired(session, now) &&
         pattern.matches(view(ref, now));
}

template <class Family>
std::size_t SessionTable<Family>::copy(const SessionPattern& pattern, std::uint32_t& position,
                                       std::span<SessionView> out, Tick now) const {
  const std::uint32_t end = std::min(slab_.used(), position + records_per_look);
  std::size_t copied = 0;
  for (; position < end && copied < out.size(); ++position) {
    if (!is_meant(position, pattern, now)) continue;
    out[copied++] = view(position, now);
  }
  return copied;
}

template class SessionTable<Ipv4>;
template class SessionTable<Ipv6>;
static_assert(sizeof(Session<Ipv4>) == 64, "an established packet touches one line of its session");
static_assert(sizeof(Session<Ipv6>) == 128);

}  // namespace swnat
