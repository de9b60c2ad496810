#include "engine/sessions.h"

#include <algorithm>
#include <utility>

#include "engine/lookup.h"

namespace swnat {

namespace {

// A connection that ended by itself is over some time later.
EndCause told_cause(EndCause cause, SessionState state) {
  if (cause != EndCause::expired) return cause;
  if (state == SessionState::tcp_closing) return EndCause::closed;
  return state == SessionState::tcp_reset ? EndCause::reset : cause;
}

}  // namespace

template <class Family>
Sessions<Family>::Sessions(const ShardOptions<Family>& options,
                           std::shared_ptr<const Snapshot> snapshot, Externals<Family>& externals,
                           NamespaceUses& uses)
    : number_(options.number),
      shards_(options.shards),
      secret_(options.secret),
      snapshot_(std::move(snapshot)),
      externals_(externals),
      uses_(uses),
      table_(options.memory, options.secret, policy().mapping == Mapping::endpoint_independent,
             snapshot_->forward_namespaces()) {
  read_policy();
}

// --- the policy

template <class Family>
void Sessions<Family>::set_snapshot(std::shared_ptr<const Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  may_have_unfit_ = true;
  read_policy();
}

template <class Family>
void Sessions<Family>::read_policy() {
  anybody_may_send_ = policy().filtering == Filtering::endpoint_independent;
  frees_closed_at_once_ = policy().timeouts.tcp_transitory.count() == 0;
  table_.set_timeouts(timeouts_by_state(policy().timeouts));
}

template <class Family>
bool Sessions<Family>::end_unfit(std::uint32_t& position, Tick now) {
  constexpr std::uint32_t records_max = 4096;
  const std::uint32_t last = std::min(table_.used(), position + records_max);
  for (; position < last; ++position) {
    const Record& session = table_[position];
    if (session.state == SessionState::free) continue;
    if (!fits(session)) {
      end(position, EndCause::policy, now);
    } else if (const std::uint32_t slot = slot_for(session); slot != table_.slot(position)) {
      count_in(position, slot);
    }
  }
  may_have_unfit_ = position < table_.used();
  return may_have_unfit_;
}

template <class Family>
void Sessions<Family>::count_in(SessionRef ref, std::uint32_t slot) {
  const std::uint32_t before = table_.slot(ref);
  uses_.move(before, slot);
  if (is_over(table_[ref].state)) {
    uses_.add_over(slot);
    uses_.remove_over(before);
  }
  table_.change_slot(ref, slot);
}

// --- found

// While rules are new, there may be sessions of a mapping that they do not allow. None joins these:
// a mapping has one internal endpoint, and its port is either a rule's or a free one. They end here
// if end_unfit() has not come to them yet.
template <class Family>
SessionRef Sessions<Family>::find_mapping(const Key& key, Tick now) {
  for (;;) {
    const SessionRef ref = find_live(key, now);
    if (ref == no_session || !may_have_unfit_ || fits(table_[ref])) return ref;
    if (is_looking()) return find_beyond(key, ref, now);
    end(ref, EndCause::policy, now);
  }
}

// Another session that the key finds, of those behind one that would have been ended. They are
// freed soon, so there are few.
template <class Family>
SessionRef Sessions<Family>::find_beyond(const Key& key, SessionRef over, Tick now) const {
  constexpr int looked_max = 1024;
  *meets_over_ = true;
  SessionRef ref = over;
  for (int looked = 0; looked < looked_max; ++looked) {
    ref = table_.next_alike(ref, key.kind);
    if (ref == over) break;
    const Record& session = table_[ref];
    if (!table_.expired(session, now) && (!may_have_unfit_ || fits(session))) return ref;
  }
  return no_session;
}

// A namespace's own may have asked somebody within it, or the gateway, whose answers come with the
// namespace's fwmark too; those of other namespaces are none of its business.
template <class Family>
SessionRef Sessions<Family>::find_asked(NamespaceId sender, std::uint8_t protocol,
                                        const Leg<Family>& outside, Tick now) {
  const SessionRef ref = find_live(Key::outside_flow(sender, protocol, outside), now);
  if (ref != no_session || sender == 0) return ref;
  const SessionRef own = find_live(Key::outside_flow(0, protocol, outside), now);
  return own != no_session && table_[own].namespace_id == sender ? own : no_session;
}

// --- begun, changed and ended

template <class Family>
typename Sessions<Family>::Room Sessions<Family>::room_of(const NamespaceEntry& tenant,
                                                          const Forward* forward) {
  if (forward == nullptr || forward->session_limit == 0) {
    return {tenant.slot, tenant.session_limit};
  }
  return {forward->slot, forward->session_limit};
}

template <class Family>
std::uint32_t Sessions<Family>::slot_for(const Record& session) const {
  const bool comes_in = session.is_forward && session.is_from_outside;
  const End external{session.outside.local, session.outside.local_port};
  return room_of(*snapshot_->find(session.namespace_id),
                 comes_in ? rules().forward(session.protocol, external) : nullptr)
      .slot;
}

template <class Family>
std::optional<Reason> Sessions<Family>::take_room(const Room& room) {
  return refusal_of(uses_.take(room.slot, room.limit));
}

template <class Family>
std::optional<Reason> Sessions<Family>::refusal_of(NamespaceUses::Taken taken) {
  switch (taken) {
    case NamespaceUses::Taken::yes:
      return {};
    case NamespaceUses::Taken::namespace_is_full:
      return Reason::session_limit;
    case NamespaceUses::Taken::table_is_full:
      return Reason::table_full;
  }
  return {};
}

template <class Family>
void Sessions<Family>::begin(SessionRef ref, SessionState state, const NewSession<Family>& wanted,
                             Tick now) {
  table_.add(ref, state, wanted.mapping, wanted.slot, wanted.flows, now);
  ++made_;
  uses_.add_made(table_.namespace_slot(ref));
  if (events_.is_heard()) events_.made(table_[ref], part_of(ref), now);
}

template <class Family>
void Sessions<Family>::state_changed(SessionRef ref, SessionState before, Tick now) {
  const bool is_over_now = is_over(table_[ref].state);
  if (is_over_now != is_over(before)) {
    const std::uint32_t slot = table_.slot(ref);
    is_over_now ? uses_.add_over(slot) : uses_.remove_over(slot);
  }
  table_.state_changed(ref, before, now);
}

template <class Family>
void Sessions<Family>::end(SessionRef ref, const KeyHashes& hashes, EndCause cause, Tick now) {
  const Record& session = table_[ref];
  const EndCause told = told_cause(cause, session.state);
  ++ended_[static_cast<std::size_t>(told)];
  if (events_.is_heard())
    events_.ended(session, table_.traffic(ref), table_.age(ref, now), part_of(ref), told, now);
  if (cause == EndCause::evicted) uses_.add_evicted(table_.namespace_slot(ref));
  const bool has_port = session.has_chosen_port();
  const bool shares_mapping = table_.shares_mapping(session);
  const std::uint32_t slot = table_.slot(ref);
  const Leg<Family> outside = session.outside;
  const std::uint8_t protocol = session.protocol;
  const bool was_over = is_over(session.state);
  if (was_over) uses_.remove_over(slot);
  const bool is_last = table_.remove(ref, hashes);
  // Whoever no longer counts the session does not count its port.
  if (is_last && has_port) uses_.give_back_port(slot);
  uses_.give_back(slot);
  if (!is_last || !has_port) return;
  if (externals_.has_blocks()) {
    return externals_.blocks(outside.local)
        .release(Externals<Family>::space_index(protocol), number_, outside.local_port, now);
  }
  if (!shares_mapping) return;
  // RFC 6888 REQ-8: the remote may go on sending for a while, unless both ends are done. But a
  // tenant at its limit would soon have let all ports rest, so that those of others rest less.
  const bool rests = !was_over && cause != EndCause::evicted;
  externals_.ports(outside.local, protocol)
      .release(number_, outside.local_port, now,
               rests ? PortSpace::Rest::full : PortSpace::Rest::none);
}

template <class Family>
void Sessions<Family>::refused(Reason reason, NamespaceId id, std::uint8_t protocol,
                               const Leg<Family>& inside, const std::optional<End>& external,
                               Tick now) {
  if (!is_refusal(reason)) return;
  if (const NamespaceEntry* tenant = find_namespace(id)) uses_.add_refused(tenant->slot);
  if (!events_.is_heard(EventKind::refused)) return;
  events_.refused(reason, id, protocol, inside, external, now);
}

// What the session, which is there, is to its mapping.
template <class Family>
typename EventLog<Family>::Part Sessions<Family>::part_of(SessionRef ref) const {
  using Part = typename EventLog<Family>::Part;
  if (!table_.shares_mapping(table_[ref])) return Part::only;
  return table_.is_alone(ref) ? Part::first_or_last : Part::one_of_several;
}

// Several are freed together, so that what they are in comes from memory side by side.
template <class Family>
std::uint32_t Sessions<Family>::expire(Tick now, std::uint32_t budget) {
  constexpr std::size_t together = 16;
  std::uint32_t looked = 0;
  bool is_any_due = true;
  while (is_any_due && looked < budget) {
    SessionRef over[together];
    std::size_t count = 0;
    while (count < together && looked < budget) {
      const SessionRef ref = table_.next_due(now);
      is_any_due = ref != no_session;
      // After a long sleep the wheel turns fast, and shows one again that is still there.
      if (!is_any_due || std::ranges::find(over, over + count, ref) != over + count) break;
      ++looked;
      if (table_.expired(table_[ref], now)) over[count++] = ref;
    }
    KeyHashes hashes[together];
    for (std::size_t i = 0; i < count; ++i) hashes[i] = table_.hashes_of(over[i]);
    table_.prefetch_removal({hashes, count});
    for (std::size_t i = 0; i < count; ++i) end(over[i], hashes[i], EndCause::expired, now);
  }
  return looked;
}

template <class Family>
void Sessions<Family>::end_overslept(std::uint32_t& position, Tick now) {
  const std::uint32_t last = std::min(table_.used(), position + records_per_look);
  for (; position < last; ++position) {
    if (table_[position].state != SessionState::free) end(position, EndCause::expired, now);
  }
}

// As many as a batch of packets may have ended.
template <class Family>
std::size_t Sessions<Family>::end_meant(const SessionPattern& pattern, std::uint32_t& position,
                                        Tick now) {
  const std::uint32_t last = std::min(table_.used(), position + records_per_look);
  std::size_t ended = 0;
  for (; position < last && ended < batch_max; ++position) {
    if (!table_.is_meant(position, pattern, now)) continue;
    end(position, EndCause::flushed, now);
    ++ended;
  }
  return ended;
}

// --- who has to go

// Where new sessions are refused, only one that is over makes room.
template <class Family>
std::optional<RoomWanted> Sessions<Family>::room_wanted(NamespaceId id) const {
  const NamespaceEntry* tenant = snapshot_->find(id);
  if (tenant == nullptr) return {};
  const bool only_over = policy().at_limit == AtLimit::refuse;
  if (only_over && !uses_.has_over(tenant->slot)) return {};
  return RoomWanted{tenant->slot, only_over, legacy_wanted_};
}

template <class Family>
std::optional<Candidate> Sessions<Family>::first_to_go(const RoomWanted& wanted) {
  const SessionRef ref = table_.first_to_go(wanted.slot);
  if (ref == no_session) return {};
  return Candidate{ref, table_[ref].standing(), leaves(ref, wanted.legacy)};
}

// Whether the session would not end in vain.
template <class Family>
bool Sessions<Family>::leaves(SessionRef ref, const std::optional<Legacy>& legacy) {
  if (!legacy) return true;
  if (legacy->last_of_mapping != nullptr && legacy->last_of_mapping != &table_[ref]) return true;
  return legacy->port && gives_port(ref, *legacy->port);
}

// Whether a new mapping could have the session's port when that has ended.
template <class Family>
bool Sessions<Family>::gives_port(SessionRef ref, const PortWanted& wanted) {
  const Record& session = table_[ref];
  if (!session.has_chosen_port() || !table_.is_alone(ref) || session.protocol != wanted.protocol ||
      wanted.external != IpAddress{session.outside.local}) {
    return false;
  }
  const PortSpace& ports = externals_.ports(session.outside.local, session.protocol);
  const std::uint16_t port = session.outside.local_port;
  if (policy().mapping == Mapping::address_and_port_dependent) {
    const IpEndpoint remote{session.outside.remote, session.outside.remote_port};
    return shard_of_port(wanted.like, shards_) == number_ && remote == wanted.remote &&
           session.realm() == wanted.realm && !ports.is_withheld(port);
  }
  return ports.class_of(port) == ports.class_for(wanted.like) && !ports.is_withheld(port);
}

template <class Family>
void Sessions<Family>::evict(std::uint32_t slot, const Candidate& candidate, Tick now) {
  const Record& session = table_[candidate.ref];
  if (session.state == SessionState::free || table_.slot(candidate.ref) != slot ||
      session.standing() != candidate.standing) {
    return;
  }
  end(candidate.ref, EndCause::evicted, now);
}

template <class Family>
bool Sessions<Family>::evict_here(const RoomWanted& wanted, Tick now) {
  const SessionRef ref = evictable_here(wanted);
  if (ref == no_session) return false;
  end(ref, EndCause::evicted, now);
  return true;
}

template <class Family>
SessionRef Sessions<Family>::evictable_here(const RoomWanted& wanted) {
  const SessionRef ref = table_.first_to_go(wanted.slot);
  if (ref == no_session || (wanted.only_over && !is_over(table_[ref].state)) ||
      !leaves(ref, wanted.legacy)) {
    return no_session;
  }
  return ref;
}

// None can have a session that is not counted yet.
template <class Family>
bool Sessions<Family>::evict_if_all_are_here(NamespaceId id, Tick now) {
  const auto wanted = room_wanted(id);
  if (!wanted || table_.count(wanted->slot) != uses_.count(wanted->slot)) return false;
  return evict_here(*wanted, now);
}

template class Sessions<Ipv4>;
template class Sessions<Ipv6>;

}  // namespace swnat
