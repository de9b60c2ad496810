#include "engine/shard.h"

#include <algorithm>

#include "engine/rewrite.h"
#include "engine/tcp_state.h"

namespace swnat {
namespace {

constexpr KeyKind own_keys[] = {KeyKind::inside_flow, KeyKind::outside_flow};
constexpr KeyKind mapping_keys[] = {KeyKind::internal, KeyKind::external};
constexpr KeyKind permission_keys[] = {KeyKind::permission};
constexpr std::uint64_t keys_per_session =
    std::size(own_keys) + std::size(mapping_keys) + std::size(permission_keys);

// Sessions looked at whenever one is established, so that the table is swept even if nobody calls
// expire().
constexpr std::uint32_t expire_per_establishment = 4;

// For sessions that are there already; the caller sees to those beyond the limit.
constexpr std::uint32_t no_limit = 0xffff'ffff;

// Whether the record's protocol and state belong together, and no field is out of its range.
bool is_consistent(const Session<Ipv4>& session) {
  switch (session.protocol) {
    case protocol::tcp:
      return session.state >= SessionState::tcp_syn_internal &&
             session.state <= SessionState::tcp_reset &&
             std::max(session.internal_receiver.scale, session.remote_receiver.scale) <=
                 tcp_scale_max;
    case protocol::udp:
      return session.state == SessionState::udp;
    case protocol::icmp:
      return session.state == SessionState::icmp;
    default:
      return false;
  }
}

TcpConnection connection_of(Session<Ipv4>& session) {
  return {session.state, session.internal_receiver, session.remote_receiver};
}

}  // namespace

template <class Family>
Shard<Family>::Shard(const ShardOptions& options, std::shared_ptr<const Snapshot> snapshot,
                     NamespaceUses& uses)
    : secret_(options.secret),
      snapshot_(std::move(snapshot)),
      uses_(uses),
      slab_({reinterpret_cast<SessionType*>(options.records.data()),
             options.records.size() / sizeof(SessionType)},
            options.used),
      links_(options.records.size() / sizeof(SessionType)),
      index_(links_.size() * keys_per_session),
      random_(Secret{options.secret[1] + options.number, options.secret[2], options.secret[3],
                     options.secret[0]}) {
  const Policy& policy = snapshot_->policy();
  for (std::size_t i = 0; i < policy.external.v4.size() * 3; ++i) {
    pools_.emplace_back(policy.ports, options.number, options.shards);
  }
  read_policy();
}

// A record is the truth, but it may come from a file: what contradicts the policy or another record
// is dropped.
template <class Family>
void Shard<Family>::adopt() {
  std::vector<SessionRef> kept;
  for (SessionRef ref = slab_.used(); ref-- > 0;) {
    if (slab_[ref].state == SessionState::free) {
      slab_.drop(ref, links_);
    } else {
      kept.push_back(ref);
    }
  }
  if (kept.empty()) return;
  // The activity list grows at its recent end.
  const Tick any = slab_[kept.front()].last_active;
  std::ranges::stable_sort(kept, {},
                           [&](SessionRef ref) { return elapsed(any, slab_[ref].last_active); });
  for (const SessionRef ref : kept) {
    if (!adopt(ref)) slab_.drop(ref, links_);
  }
}

template <class Family>
bool Shard<Family>::adopt(SessionRef ref) {
  SessionType& session = slab_[ref];
  const Tenant* tenant = snapshot_->find(session.namespace_id);
  const auto& addresses = snapshot_->policy().external.v4;
  const bool fits = tenant != nullptr && is_consistent(session) &&
                    std::ranges::find(addresses, session.outside.local) != addresses.end() &&
                    find(Key::of(session, KeyKind::inside_flow)) == no_session &&
                    find(Key::of(session, KeyKind::outside_flow)) == no_session;
  if (!fits) return false;
  const SessionRef mapping = find(Key::of(session, KeyKind::internal));
  if (mapping != find(Key::of(session, KeyKind::external))) return false;
  if (mapping == no_session &&
      !pool(session.outside.local, session.protocol).take_exactly(session.outside.local_port)) {
    return false;
  }
  set_deltas(session);
  slab_.keep();
  uses_.take(tenant->slot, no_limit);
  link(ref, mapping, *tenant, session.last_active);
  return true;
}

template <class Family>
SessionRef Shard<Family>::find(const Key& key) const {
  return index_.find(key.hash(secret_), [&](SessionRef ref) { return key.finds(slab_[ref]); });
}

template <class Family>
SessionRef Shard<Family>::candidate(std::uint64_t hash) const {
  const SessionRef ref = index_.candidate(hash);
  if (ref != no_session) __builtin_prefetch(&slab_[ref]);
  return ref;
}

template <class Family>
std::optional<Reason> Shard<Family>::translate_established(SessionRef ref, const Key& key,
                                                           const Parsed<Family>& parsed,
                                                           Packet& packet, Tick now) {
  const SessionType& session = slab_[ref];
  if (!key.finds(session) || expired(session, now)) return {};
  return translate(ref, parsed, packet, now);
}

template <class Family>
typename Shard<Family>::Outcome Shard<Family>::outbound(const Parsed<Family>& parsed,
                                                        Packet& packet, Tick now) {
  const Key key = Key::inside_flow(packet.namespace_id, parsed.protocol, parsed.leg_from_inside());
  const SessionRef ref = find_live(key, now);
  if (ref != no_session) return {translate(ref, parsed, packet, now)};
  return establish_outbound(parsed, packet, now);
}

template <class Family>
Reason Shard<Family>::inbound(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  const Key key = Key::outside_flow(parsed.protocol, parsed.leg_from_outside());
  const SessionRef ref = find_live(key, now);
  if (ref != no_session) return translate(ref, parsed, packet, now);
  return establish_inbound(parsed, packet, now);
}

template <class Family>
Reason Shard<Family>::icmp_error(const Parsed<Family>& parsed, const Quoted& quoted, Packet& error,
                                 Tick now) {
  const bool is_inbound = error.direction == Direction::inbound;
  // What an error from outside quotes was sent from inside, and the other way round.
  const Parsed<Family>& about = quoted.packet;
  const Key key =
      is_inbound ? Key::outside_flow(about.protocol, about.leg_from_inside())
                 : Key::inside_flow(error.namespace_id, about.protocol, about.leg_from_outside());
  const SessionRef ref = find_live(key, now);
  if (ref == no_session) return Reason::icmp_error_unmatched;
  const SessionType& session = slab_[ref];
  apply(is_inbound ? inbound_error_rewrite(session, parsed) : outbound_error_rewrite(session),
        parsed, quoted, error);
  if (is_inbound) error.namespace_id = session.namespace_id;
  return is_inbound ? Reason::translated_inbound : Reason::translated_outbound;
}

// An expired session never matches: it is freed on sight. Each round frees one, so the rounds of
// all calls together are no more than the sessions that were made.
template <class Family>
SessionRef Shard<Family>::find_live(const Key& key, Tick now) {
  for (;;) {
    const SessionRef ref = find(key);
    if (ref == no_session || !expired(slab_[ref], now)) return ref;
    release(ref);
  }
}

template <class Family>
bool Shard<Family>::expired(const SessionType& session, Tick now) const {
  return elapsed(session.last_active, now) >= timeouts_[static_cast<std::size_t>(session.state)];
}

template <class Family>
Reason Shard<Family>::translate(SessionRef ref, const Parsed<Family>& parsed, Packet& packet,
                                Tick now) {
  SessionType& session = slab_[ref];
  const bool is_outbound = packet.direction != Direction::inbound;
  TcpEffect effect = TcpEffect::refresh;
  if (parsed.protocol == protocol::tcp) {
    const SessionState before = session.state;
    const TcpSegment segment =
        read_tcp_segment(packet.bytes.data() + parsed.transport, parsed.transport_size);
    effect = advance(connection_of(session), segment,
                     is_outbound ? TcpSender::internal : TcpSender::remote);
    if (session.state != before) {  // its timeout may have become shorter
      wheel_.remove(links_, ref);
      const auto timeout = timeouts_[static_cast<std::size_t>(session.state)];
      wheel_.add(links_, ref, now + static_cast<Tick>(timeout), now);
    }
  }
  if (effect != TcpEffect::none) refresh(session, packet.direction, now);
  apply(is_outbound ? outbound_rewrite(session) : inbound_rewrite(session), parsed, packet);
  if (!is_outbound) packet.namespace_id = session.namespace_id;
  if (effect == TcpEffect::closed && frees_closed_at_once_) release(ref);
  return is_outbound ? Reason::translated_outbound : Reason::translated_inbound;
}

// Outbound packets keep a session alive, inbound ones too (RFC 4787 REQ-6), but where anybody may
// send to a mapping, anybody could keep it alive (RFC 7857 section 7).
template <class Family>
void Shard<Family>::refresh(SessionType& session, Direction direction, Tick now) {
  const bool by_anybody =
      anybody_may_send_ && direction == Direction::inbound && session.protocol != protocol::tcp;
  if (by_anybody || elapsed(session.last_active, now) <= 0) return;
  session.last_active = now;
}

// What no session can be made of, whatever the policy says.
template <class Family>
std::optional<Reason> Shard<Family>::refuses(const Parsed<Family>& parsed) const {
  if (!Family::is_host(parsed.source) || !Family::is_host(parsed.destination)) {
    return Reason::invalid_address;
  }
  if (parsed.protocol == Family::icmp_protocol) return {};
  if (parsed.source_port == 0 || parsed.destination_port == 0) return Reason::invalid_port;
  constexpr std::uint8_t all = tcp_flag::syn | tcp_flag::ack | tcp_flag::rst | tcp_flag::fin;
  if (parsed.protocol == protocol::tcp && (parsed.tcp_flags & all) != tcp_flag::syn) {
    return Reason::tcp_not_syn;
  }
  return {};
}

template <class Family>
typename Shard<Family>::Outcome Shard<Family>::establish_outbound(const Parsed<Family>& parsed,
                                                                  Packet& packet, Tick now) {
  const Tenant* tenant = snapshot_->find(packet.namespace_id);
  if (tenant == nullptr) return {Reason::unknown_namespace};
  if (const auto reason = refuses(parsed)) return {*reason};
  expire(now, expire_per_establishment);
  if (!uses_.take(tenant->slot, tenant->session_limit)) {
    const bool refuse = snapshot_->policy().at_limit == AtLimit::refuse;
    return refuse ? Outcome{Reason::session_limit} : Outcome{Reason::session_limit, tenant->slot};
  }
  const std::optional<External> external = external_for(*tenant, parsed, now);
  if (!external) {
    uses_.give_back(tenant->slot);
    return {Reason::no_free_port};
  }
  SessionType session;
  session.inside = parsed.leg_from_inside();
  session.outside = {external->address, parsed.destination, external->port,
                     parsed.destination_port};
  return {establish(*tenant, *external, session, parsed, packet, now)};
}

template <class Family>
Reason Shard<Family>::establish_inbound(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  const Leg<Family> outside = parsed.leg_from_outside();
  const SessionRef mapping = find_live(Key::external(parsed.protocol, outside), now);
  if (mapping == no_session) return Reason::no_mapping;
  const SessionRef member = permitting(mapping, parsed, now);
  if (member == no_session) return Reason::filtered;
  if (const auto reason = refuses(parsed)) return *reason;
  const SessionType& known = slab_[member];
  const Tenant* tenant = snapshot_->find(known.namespace_id);
  if (tenant == nullptr) return Reason::unknown_namespace;
  // The outside must not be able to end a tenant's sessions: it never evicts.
  if (!uses_.take(tenant->slot, tenant->session_limit)) return Reason::session_limit;
  SessionType session;
  session.outside = outside;
  session.inside = {known.inside.local, parsed.source, known.inside.local_port, parsed.source_port};
  const External external{outside.local, outside.local_port, member};
  return establish(*tenant, external, session, parsed, packet, now);
}

// Filtering (RFC 4787 section 5): a session of the mapping by which this remote may send to it, or
// no_session. Only queries make ICMP sessions, so another remote's reply is never let in.
template <class Family>
SessionRef Shard<Family>::permitting(SessionRef mapping, const Parsed<Family>& parsed, Tick now) {
  if (parsed.protocol == Family::icmp_protocol) return no_session;
  switch (snapshot_->policy().filtering) {
    case Filtering::endpoint_independent:
      return mapping;
    case Filtering::address_dependent:
      return find_live(Key::permission(parsed.protocol, parsed.leg_from_outside()), now);
    case Filtering::address_and_port_dependent:
      return no_session;
  }
  return no_session;
}

// The mapping's endpoint, where the internal endpoint has one (RFC 4787 REQ-1), else a new one.
template <class Family>
std::optional<typename Shard<Family>::External> Shard<Family>::external_for(
    const Tenant& tenant, const Parsed<Family>& parsed, Tick now) {
  const Key key = Key::internal(tenant.id, parsed.protocol, parsed.leg_from_inside());
  const SessionRef mapping = find_live(key, now);
  if (mapping != no_session) {
    const Leg<Family>& outside = slab_[mapping].outside;
    return External{outside.local, outside.local_port, mapping};
  }
  const auto address = paired_address(tenant, parsed.source);
  const auto port = pool(address, parsed.protocol).take(parsed.source_port, random_.next());
  if (!port) return {};
  return External{address, *port, no_session};
}

// An internal address keeps its external one (RFC 4787 REQ-2), without a table: it follows from a
// hash.
template <class Family>
typename Family::Address Shard<Family>::paired_address(const Tenant& tenant,
                                                       typename Family::Address internal) const {
  const auto& own = tenant.policy->external.v4;
  const auto& addresses = own.empty() ? snapshot_->policy().external.v4 : own;
  const std::uint64_t hash =
      fold_multiply(Family::words(internal) ^ secret_[1], tenant.id ^ secret_[2]) >> 32;
  return addresses[hash * addresses.size() >> 32];
}

template <class Family>
Reason Shard<Family>::establish(const Tenant& tenant, const External& external,
                                SessionType& session, const Parsed<Family>& parsed, Packet& packet,
                                Tick now) {
  const SessionRef ref = slab_.allocate(links_);
  if (ref == no_session) {
    uses_.give_back(tenant.slot);
    if (external.mapping == no_session)
      pool(external.address, parsed.protocol).release(external.port);
    return Reason::table_full;
  }
  const bool is_outbound = packet.direction != Direction::inbound;
  session.namespace_id = tenant.id;
  session.protocol = parsed.protocol;
  // Where anybody may send to a mapping, ever new remotes must not keep it alive.
  const bool by_anybody = anybody_may_send_ && !is_outbound && parsed.protocol != protocol::tcp;
  session.last_active = by_anybody ? slab_[external.mapping].last_active : now;
  set_deltas(session);
  if (parsed.protocol == protocol::tcp) {
    const TcpSegment syn =
        read_tcp_segment(packet.bytes.data() + parsed.transport, parsed.transport_size);
    open(connection_of(session), syn, is_outbound ? TcpSender::internal : TcpSender::remote);
  } else {
    session.state = parsed.protocol == protocol::udp ? SessionState::udp : SessionState::icmp;
  }
  slab_.commit(ref, session);
  link(ref, external.mapping, tenant, session.last_active);
  apply(is_outbound ? outbound_rewrite(session) : inbound_rewrite(session), parsed, packet);
  if (!is_outbound) packet.namespace_id = tenant.id;
  return is_outbound ? Reason::translated_outbound : Reason::translated_inbound;
}

template <class Family>
void Shard<Family>::link(SessionRef ref, SessionRef mapping, const Tenant& tenant, Tick now) {
  const SessionType& session = slab_[ref];
  const auto insert = [&](KeyKind kind) {
    index_.insert(Key::of(session, kind).hash(secret_), ref);
  };
  for (const KeyKind kind : own_keys) insert(kind);

  if (mapping == no_session) {
    Ring<&SessionLinks::mapping>::start(links_, ref);
    for (const KeyKind kind : mapping_keys) insert(kind);
  } else {
    Ring<&SessionLinks::mapping>::join(links_, ref, mapping);
  }

  const SessionRef permitted = find(Key::of(session, KeyKind::permission));
  if (permitted == no_session) {
    Ring<&SessionLinks::permission>::start(links_, ref);
    insert(KeyKind::permission);
  } else {
    Ring<&SessionLinks::permission>::join(links_, ref, permitted);
  }

  const auto timeout = timeouts_[static_cast<std::size_t>(session.state)];
  wheel_.add(links_, ref, now + static_cast<Tick>(timeout), now);
  activity_.add(links_, ref, tenant.slot, now);
}

// Takes the session out of a ring. If the index knows the ring by it, another member takes its
// place there, or nothing where it was the last. Returns that other member.
template <class Family>
template <Link SessionLinks::*ring>
SessionRef Shard<Family>::leave_ring(SessionRef ref, std::span<const KeyKind> kinds) {
  const SessionRef other = Ring<ring>::leave(links_, ref);
  for (const KeyKind kind : kinds) {
    const std::uint64_t hash = Key::of(slab_[ref], kind).hash(secret_);
    if (other == no_session) {
      index_.erase(hash, ref);
    } else {
      index_.replace(hash, ref, other);
    }
  }
  return other;
}

template <class Family>
void Shard<Family>::release(SessionRef ref) {
  const SessionType& session = slab_[ref];
  for (const KeyKind kind : own_keys) index_.erase(Key::of(session, kind).hash(secret_), ref);
  leave_ring<&SessionLinks::permission>(ref, permission_keys);
  if (leave_ring<&SessionLinks::mapping>(ref, mapping_keys) == no_session) {
    pool(session.outside.local, session.protocol).release(session.outside.local_port);
  }
  wheel_.remove(links_, ref);
  activity_.remove(links_, ref);
  uses_.give_back(links_[ref].namespace_slot);
  slab_.free(ref, links_);
}

template <class Family>
std::uint32_t Shard<Family>::expire(Tick now, std::uint32_t budget) {
  std::uint32_t looked = 0;
  for (; looked < budget; ++looked) {
    const SessionRef ref = wheel_.next_due(links_, now);
    if (ref == no_session) break;
    const SessionType& session = slab_[ref];
    const auto timeout = timeouts_[static_cast<std::size_t>(session.state)];
    wheel_.add(links_, ref, session.last_active + static_cast<Tick>(timeout), now);
    if (expired(session, now)) release(ref);
  }
  return looked;
}

template <class Family>
std::optional<Tick> Shard<Family>::oldest(std::uint32_t slot) {
  const SessionRef ref = activity_.oldest(links_, slab_, slot);
  if (ref == no_session) return {};
  return slab_[ref].last_active;
}

template <class Family>
bool Shard<Family>::evict_oldest(std::uint32_t slot) {
  const SessionRef ref = activity_.oldest(links_, slab_, slot);
  if (ref == no_session) return false;
  release(ref);
  return true;
}

template <class Family>
void Shard<Family>::set_snapshot(std::shared_ptr<const Snapshot> snapshot) {
  const std::shared_ptr<const Snapshot> before = std::exchange(snapshot_, std::move(snapshot));
  read_policy();
  for (const Tenant& tenant : before->tenants()) {
    if (snapshot_->find(tenant.id) != nullptr) continue;
    while (evict_oldest(tenant.slot)) {
    }
  }
}

// The endpoints of a session that is found are external addresses of the policy, of which there are
// few.
template <class Family>
PortPool& Shard<Family>::pool(typename Family::Address address, std::uint8_t protocol) {
  const auto& addresses = snapshot_->policy().external.v4;
  const auto number =
      static_cast<std::size_t>(std::ranges::find(addresses, address) - addresses.begin());
  const std::size_t offset = protocol == protocol::tcp ? 0 : protocol == protocol::udp ? 1 : 2;
  return pools_[number * 3 + offset];
}

template <class Family>
void Shard<Family>::read_policy() {
  const Timeouts& timeouts = snapshot_->policy().timeouts;
  const auto set = [this](SessionState state, std::chrono::milliseconds timeout) {
    timeouts_[static_cast<std::size_t>(state)] = static_cast<std::int32_t>(timeout.count());
  };
  anybody_may_send_ = snapshot_->policy().filtering == Filtering::endpoint_independent;
  frees_closed_at_once_ = timeouts.tcp_transitory.count() == 0;
  const auto opening = frees_closed_at_once_ ? Timeouts{}.tcp_transitory : timeouts.tcp_transitory;
  set(SessionState::udp, timeouts.udp);
  set(SessionState::icmp, timeouts.icmp);
  set(SessionState::tcp_syn_internal, opening);
  set(SessionState::tcp_syn_remote, opening);
  set(SessionState::tcp_established, timeouts.tcp_established);
  set(SessionState::tcp_fin_internal, timeouts.tcp_established);
  set(SessionState::tcp_fin_remote, timeouts.tcp_established);
  set(SessionState::tcp_closing, opening);
  set(SessionState::tcp_reset, opening);
}

template <class Family>
std::size_t Shard<Family>::copy_sessions(std::uint32_t& position, std::span<SessionView> out,
                                         Tick now) const {
  constexpr std::uint32_t records_max = 4096;
  const std::uint32_t end = std::min(slab_.used(), position + records_max);
  std::size_t copied = 0;
  for (; position < end && copied < out.size(); ++position) {
    const SessionType& session = slab_[position];
    if (session.state == SessionState::free || expired(session, now)) continue;
    // Another thread's clock may be a little ahead.
    const std::int32_t idle = std::max(elapsed(session.last_active, now), 0);
    const std::int32_t timeout = timeouts_[static_cast<std::size_t>(session.state)];
    out[copied++] = {session.namespace_id,
                     session.protocol,
                     {session.inside.local, session.inside.local_port},
                     {session.outside.local, session.outside.local_port},
                     {session.outside.remote, session.outside.remote_port},
                     text_of(session.state),
                     std::chrono::milliseconds(idle),
                     std::chrono::milliseconds(timeout - idle)};
  }
  return copied;
}

template class Shard<Ipv4>;
static_assert(sizeof(Session<Ipv4>) == 64, "an established packet touches one line of its session");

}  // namespace swnat
