#include "engine/shard.h"

#include <algorithm>
#include <utility>

#include "engine/ports/port_sequence.h"

namespace swnat {
namespace {

// Sessions looked at whenever one is established, so that the table is swept even if nobody calls
// expire().
constexpr std::uint32_t expire_per_establishment = 4;

template <class Family>
bool is_from_host(const Parsed<Family>& parsed) {
  return Family::is_host(parsed.source) && Family::is_host(parsed.destination);
}

bool is_sound_receiver(const TcpReceiver& receiver) {
  return receiver.scale <= tcp_scale_max;
}

template <class Family>
constexpr SessionState first_state(std::uint8_t protocol, bool is_from_outside) {
  if (protocol == Family::icmp_protocol) return SessionState::echo_asked;
  return is_from_outside ? SessionState::asked_by_remote : SessionState::asked_by_internal;
}

}  // namespace

template <class Family>
Shard<Family>::Shard(const ShardOptions<Family>& options, std::shared_ptr<const Snapshot> snapshot,
                     Externals<Family>& externals, NamespaceUses& uses)
    : number_(options.number),
      shards_(options.shards),
      secret_(options.secret),
      snapshot_(std::move(snapshot)),
      externals_(externals),
      uses_(uses),
      table_(options.memory.records, options.memory.asides, options.memory.used, options.secret,
             snapshot_->policy().mapping == Mapping::endpoint_independent,
             snapshot_->forward_namespaces()),
      random_(Secret{options.secret[1] + options.number, options.secret[2], options.secret[3],
                     options.secret[0] ^ Family::version}) {
  read_policy();
}

// Nothing here need be right: it is looked at again when it counts. An outbound packet's mapping
// may be there already; then what it shares with that mapping's other sessions is looked at, too.
template <class Family>
void Shard<Family>::prefetch_missed(std::span<const Lookup> lookups) const {
  SessionRef answered[batch_max];
  std::size_t answered_count = 0;
  const Packet* first[batch_max];
  std::size_t first_count = 0;
  for (const Lookup& lookup : lookups) {
    if (lookup.candidate != no_session) {
      answered[answered_count++] = lookup.candidate;
    } else {
      first[first_count++] = lookup.packet;
    }
  }
  table_.prefetch_change({answered, answered_count});
  if (first_count != 0) prefetch_establishment({first, first_count});
}

template <class Family>
void Shard<Family>::prefetch_establishment(std::span<const Packet* const> packets) const {
  Leg<Family> legs[batch_max];
  std::uint64_t hashes[batch_max];
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const Packet& packet = *packets[i];
    const std::uint8_t protocol = common_protocol<Family>(packet);
    const bool is_inbound = packet.direction == Direction::inbound;
    legs[i] = LegWords<Family>::read(packet, is_inbound).leg();
    hashes[i] = (is_inbound ? Key::external(protocol, legs[i])
                            : Key::internal(packet.namespace_id, protocol, legs[i]))
                    .hash(secret_);
  }
  table_.mappings().prefetch({hashes, packets.size()});
  table_.prefetch_next(static_cast<std::uint32_t>(packets.size()));
  SessionRef mappings[batch_max];
  for (std::size_t i = 0; i < packets.size(); ++i) {
    mappings[i] = table_.mappings().candidate(hashes[i]);
    if (mappings[i] != no_session) table_.prefetch(mappings[i]);
  }
  std::uint64_t flows[batch_max];
  std::uint64_t permissions[batch_max];
  std::size_t count = 0;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (mappings[i] == no_session) continue;
    const std::uint8_t protocol = common_protocol<Family>(*packets[i]);
    Leg<Family> outside = table_[mappings[i]].outside;
    outside.remote = legs[i].remote;
    outside.remote_port = legs[i].remote_port;
    flows[count] = Key::outside_flow(0, protocol, outside).hash(secret_);
    permissions[count] = Key::permission(0, protocol, outside).hash(secret_);
    ++count;
  }
  table_.flows().prefetch({flows, count});
  table_.mappings().prefetch({permissions, count});
}

template <class Family>
Reason Shard<Family>::outbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow,
                               Tick now) {
  const SessionRef ref = find_live(inside_flow(parsed, packet), flow, now);
  if (ref != no_session) return translate(ref, parsed, packet, now);
  return establish_outbound(parsed, packet, flow, now);
}

template <class Family>
Reason Shard<Family>::inbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow,
                              Tick now) {
  const SessionRef ref = find_live(outside_flow(0, parsed), flow, now);
  if (ref != no_session) return translate(ref, parsed, packet, now);
  return establish_inbound(parsed, packet, flow, now);
}

template <class Family>
Reason Shard<Family>::answer(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  const SessionRef ref =
      find_asked(packet.namespace_id, parsed.protocol, parsed.leg_from_outside(), now);
  return ref == no_session ? Reason::no_mapping : translate(ref, parsed, packet, now);
}

// The session that the sender may answer by this outside. A namespace's own may have asked somebody
// within it, or the gateway, whose answers come with the namespace's fwmark too; those of other
// namespaces are none of its business.
template <class Family>
SessionRef Shard<Family>::find_asked(NamespaceId sender, std::uint8_t protocol,
                                     const Leg<Family>& outside, Tick now) {
  const SessionRef ref = find_live(Key::outside_flow(sender, protocol, outside), now);
  if (ref != no_session || sender == 0) return ref;
  const SessionRef own = find_live(Key::outside_flow(0, protocol, outside), now);
  return own != no_session && table_[own].namespace_id == sender ? own : no_session;
}

template <class Family>
typename Shard<Family>::Outlook Shard<Family>::outlook(const Parsed<Family>& parsed,
                                                       const Packet& packet, Tick now) {
  const SessionRef ref = find_live(inside_flow(parsed, packet), now);
  if (ref != no_session) {
    return table_[ref].is_from_outside ? Outlook::answers : Outlook::has_session;
  }
  const NamespaceId id = packet.namespace_id;
  const Tenant* tenant = snapshot_->find(id);
  const Leg<Family> inside = parsed.leg_from_inside();
  const bool is_ruled =
      tenant == nullptr || rules().drops(id, parsed.protocol, inside.remote_port) ||
      rules().redirect(id, parsed.protocol, {inside.remote, inside.remote_port}) ||
      any_contains(tenant->policy->untranslated, inside.remote);
  return is_ruled ? Outlook::ruled : Outlook::asks_for_owner;
}

template <class Family>
bool Shard<Family>::has_owner(const Parsed<Family>& parsed, Tick now) {
  const Leg<Family> outside = parsed.leg_from_outside();
  return rules().forward(parsed.protocol, {outside.local, outside.local_port}) != nullptr ||
         find_mapping(Key::external(parsed.protocol, outside), now) != no_session ||
         find_live(outside_flow(0, parsed), now) != no_session;
}

template <class Family>
Reason Shard<Family>::error_about_sent(NamespaceId sender, const Parsed<Family>& parsed,
                                       const Quoted<Family>& quoted, Packet& error, Tick now) {
  const SessionRef ref =
      find_asked(sender, quoted.packet.protocol, quoted.packet.leg_from_inside(), now);
  if (ref == no_session) return Reason::icmp_error_unmatched;
  if (!is_from_host(parsed)) return Reason::invalid_address;
  const Record& session = table_[ref];
  apply(inbound_error_rewrite(session, parsed), parsed, quoted, error);
  error.namespace_id = session.namespace_id;
  return Reason::translated_inbound;
}

template <class Family>
Reason Shard<Family>::error_about_delivered(const Parsed<Family>& parsed,
                                            const Quoted<Family>& quoted, Packet& error, Tick now) {
  const Key key = Key::inside_flow(error.namespace_id, quoted.packet.protocol,
                                   quoted.packet.leg_from_outside());
  const SessionRef ref = find_live(key, now);
  if (ref == no_session) {
    const Tenant* tenant = snapshot_->find(error.namespace_id);
    const bool needs_none =
        tenant != nullptr && any_contains(tenant->policy->untranslated, parsed.destination);
    if (needs_none) return Reason::untranslated;
    return error.direction == Direction::outbound ? Reason::icmp_error_unsent
                                                  : Reason::icmp_error_unmatched;
  }
  if (!is_from_host(parsed)) return Reason::invalid_address;
  const Record& session = table_[ref];
  apply(outbound_error_rewrite(session), parsed, quoted, error);
  if (error.direction == Direction::hairpin) error.namespace_id = session.realm();
  return Reason::translated_outbound;
}

template <class Family>
std::optional<Reason> Shard<Family>::rule_for(NamespaceId id, const Parsed<Family>& parsed) const {
  const Tenant* tenant = snapshot_->find(id);
  if (tenant == nullptr) return {};
  if (rules().drops(id, parsed.protocol, 0)) return Reason::dropped_by_rule;
  if (any_contains(tenant->policy->untranslated, parsed.destination)) return Reason::untranslated;
  return {};
}

// An expired session never matches: it is freed on sight. Each round frees one, so the rounds of
// all calls together are no more than the sessions that were made.
template <class Family>
SessionRef Shard<Family>::find_live(const Key& key, std::uint64_t hash, Tick now) {
  for (;;) {
    const SessionRef ref = table_.find(key, hash);
    if (ref == no_session || !table_.expired(table_[ref], now)) return ref;
    release(ref, EndCause::expired, now);
  }
}

// While rules are new, there may be sessions of a mapping that they do not allow. None joins these:
// a mapping has one internal endpoint, and its port is either a rule's or a free one. They end here
// if end_unfit() has not come to them yet.
template <class Family>
SessionRef Shard<Family>::find_mapping(const Key& key, Tick now) {
  for (;;) {
    const SessionRef ref = find_live(key, now);
    if (ref == no_session || !may_have_unfit_ || fits(table_[ref])) return ref;
    release(ref, EndCause::policy, now);
  }
}

template <class Family>
void Shard<Family>::release(SessionRef ref, const KeyHashes& hashes, EndCause cause, Tick now) {
  const Record& session = table_[ref];
  if (events_.is_heard()) events_.ended(session, table_.traffic(ref), part_of(ref), cause, now);
  const bool has_port = counts_as_port(session);
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
  if (externals_.has_blocks()) return release_in_block(outside, protocol, now);
  if (!shares_mapping) return;
  // RFC 6888 REQ-8: the remote may go on sending for a while, unless both ends are done. But a
  // tenant at its limit would soon have let all ports rest, so that those of others rest less.
  const bool rests = !was_over && cause != EndCause::evicted;
  externals_.ports(outside.local, protocol)
      .release(number_, outside.local_port, now,
               rests ? PortSpace::Rest::full : PortSpace::Rest::none);
}

// What the session, which is there, is to its mapping.
template <class Family>
typename EventLog<Family>::Part Shard<Family>::part_of(SessionRef ref) const {
  using Part = typename EventLog<Family>::Part;
  if (!table_.shares_mapping(table_[ref])) return Part::only;
  return table_.is_alone(ref) ? Part::first_or_last : Part::one_of_several;
}

// Counts a session that is about to be made; returns why it may not be.
template <class Family>
std::optional<Reason> Shard<Family>::take_use(const Room& room) {
  switch (uses_.take(room.slot, room.limit)) {
    case NamespaceUses::Taken::yes:
      return {};
    case NamespaceUses::Taken::namespace_is_full:
      return Reason::session_limit;
    case NamespaceUses::Taken::table_is_full:
      return Reason::table_full;
  }
  return {};
}

// `forward`: by which the session comes in, nullptr for none.
template <class Family>
typename Shard<Family>::Room Shard<Family>::room_of(
    const Tenant& tenant, const typename RuleBook<Family>::Forward* forward) {
  if (forward == nullptr || forward->session_limit == 0) {
    return {tenant.slot, tenant.session_limit};
  }
  return {forward->slot, forward->session_limit};
}

// Where the policy, which has its namespace, lets it count.
template <class Family>
std::uint32_t Shard<Family>::slot_for(const Record& session) const {
  const bool comes_in = session.is_forward && session.is_from_outside;
  const End external{session.outside.local, session.outside.local_port};
  return room_of(*snapshot_->find(session.namespace_id),
                 comes_in ? rules().forward(session.protocol, external) : nullptr)
      .slot;
}

// What no session can be made of, whatever the policy says.
template <class Family>
std::optional<Reason> Shard<Family>::refuses(const Parsed<Family>& parsed) const {
  if (!is_from_host(parsed)) return Reason::invalid_address;
  if (parsed.protocol != protocol::tcp && parsed.protocol != protocol::udp) return {};
  if (parsed.source_port == 0 || parsed.destination_port == 0) return Reason::invalid_port;
  constexpr std::uint8_t all = tcp_flag::syn | tcp_flag::ack | tcp_flag::rst | tcp_flag::fin;
  if (parsed.protocol == protocol::tcp && (parsed.tcp_flags & all) != tcp_flag::syn) {
    return Reason::tcp_not_syn;
  }
  return {};
}

template <class Family>
Reason Shard<Family>::establish_outbound(const Parsed<Family>& parsed, Packet& packet,
                                         std::uint64_t flow, Tick now) {
  const Tenant* tenant = snapshot_->find(packet.namespace_id);
  if (tenant == nullptr) return Reason::unknown_namespace;
  const Leg<Family> inside = parsed.leg_from_inside();
  if (rules().drops(tenant->id, parsed.protocol, inside.remote_port)) {
    return Reason::dropped_by_rule;
  }
  const auto redirected =
      rules().redirect(tenant->id, parsed.protocol, {inside.remote, inside.remote_port});
  if (!redirected && any_contains(tenant->policy->untranslated, inside.remote)) {
    return Reason::untranslated;
  }
  if (const auto reason = refuses(parsed)) return *reason;
  if (table_.may_be_due(now)) expire(now, expire_per_establishment);
  const Room room = room_of(*tenant, nullptr);
  const End remote = redirected.value_or(End{inside.remote, inside.remote_port});
  Plan plan{*tenant, room.slot, {}, inside, {{}, remote.address, 0, remote.port}};
  plan.remote_is_inside = redirected && any_contains(tenant->policy->inside, remote.address);
  plan.flows.inside = flow;
  std::optional<Reason> full = take_use(room);
  port_wanted_.reset();
  if (full == Reason::session_limit && room_wanted(tenant->id)) {
    // Nothing ends for a packet that there is no external endpoint for.
    Plan trial = plan;
    if (const auto fault = choose_external(trial, parsed.protocol, Choice::possible, now)) {
      return *fault;
    }
    if (evict_if_all_are_here(tenant->id, now)) full = take_use(room);
  }
  if (full) return *full;
  if (const auto fault = choose_external(plan, parsed.protocol, Choice::taken, now)) {
    uses_.give_back(plan.slot);
    return *fault;
  }
  return establish(plan, parsed, packet, now);
}

template <class Family>
Reason Shard<Family>::establish_inbound(const Parsed<Family>& parsed, Packet& packet,
                                        std::uint64_t flow, Tick now) {
  const Leg<Family> outside = parsed.leg_from_outside();
  const End end{outside.local, outside.local_port};
  External external{outside.local, outside.local_port};
  external.mapping = find_mapping(Key::external(parsed.protocol, outside), now);
  const auto* forward = rules().forward(parsed.protocol, end);
  external.is_forward = forward != nullptr;
  NamespaceId id = 0;
  End internal;
  if (external.is_forward) {
    // While a rule is new, packets may still come to the shard that the port had before.
    if (shard_of_port(forward->to.port, shards_) != number_ ||
        externals_.shard_of(end.address, parsed.protocol, end.port) != number_) {
      return Reason::no_mapping;
    }
    id = forward->namespace_id;
    internal = forward->to;
  } else {
    // What nobody inside keeps is about to end, or ever new remotes could keep it.
    if (external.mapping == no_session ||
        (anybody_may_send_ && !table_[external.mapping].keeps_mapping())) {
      return Reason::no_mapping;
    }
    const SessionRef member = permitting(external.mapping, parsed, now);
    if (member == no_session) return Reason::filtered;
    external.mapping = member;
    id = table_[member].namespace_id;
    internal = {table_[member].inside.local, table_[member].inside.local_port};
  }
  if (const auto reason = refuses(parsed)) return not_on_the_way_out(*reason);
  const Tenant* tenant = snapshot_->find(id);
  if (tenant == nullptr) return Reason::no_mapping;
  const Leg<Family> inside{internal.address, parsed.source, internal.port, parsed.source_port};
  // What the host would answer is another session's: it goes to where a redirect leads, or leaves
  // as another endpoint that is forwarded to the host.
  const Key answer = Key::inside_flow(id, parsed.protocol, inside);
  const std::uint64_t answer_hash = answer.hash(secret_);
  if (find_live(answer, answer_hash, now) != no_session) return Reason::answer_in_use;
  const auto refuse = [&](Reason reason) {
    if (events_.is_heard(EventKind::refused)) {
      events_.refused(reason, id, parsed.protocol, inside, end, now);
    }
    return reason;
  };
  // The outside must not be able to end a tenant's sessions: for it none ends, but one that is over
  // where only such count that came in as this one does. These are all in this shard, which is that
  // of the forward's internal endpoint.
  const Room room = room_of(*tenant, forward);
  std::optional<Reason> full = take_use(room);
  if (full == Reason::session_limit && room.slot != tenant->slot &&
      evict_here({room.slot, true}, now)) {
    external.mapping = find_mapping(Key::external(parsed.protocol, outside), now);
    full = take_use(room);
  }
  if (full) return refuse(*full);
  const Plan plan{*tenant, room.slot, external, inside, outside, false, {answer_hash, flow}};
  const Reason reason = establish(plan, parsed, packet, now);
  return reason == Reason::table_full ? refuse(reason) : reason;
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
      return find_mapping(Key::permission(0, parsed.protocol, parsed.leg_from_outside()), now);
    case Filtering::address_and_port_dependent:
      return no_session;
  }
  return no_session;
}

// Sets the external endpoint of the plan; returns why there is none. With endpoint-independent
// mapping it is the one that the internal endpoint has already (RFC 4787 REQ-1).
template <class Family>
std::optional<Reason> Shard<Family>::choose_external(Plan& plan, std::uint8_t protocol,
                                                     Choice choice, Tick now) {
  const Leg<Family>& inside = plan.inside;
  External& external = plan.external;
  const auto pair = [&] {
    external.address = externals_.paired(inside.local, plan.tenant.id, *plan.tenant.policy);
  };
  const auto use = [&](const Address& address, std::uint16_t port) {
    external.address = plan.outside.local = address;
    external.port = plan.outside.local_port = port;
  };
  if (protocol::is_portless(protocol)) {
    pair();
    use(external.address, 0);
  } else if (const auto own = rules().forwarded_as(plan.tenant.id, protocol,
                                                   {inside.local, inside.local_port})) {
    use(own->address, own->port);
    external.is_forward = true;
    external.mapping = find_mapping(Key::external(protocol, plan.outside), now);
  } else if (snapshot_->policy().mapping == Mapping::address_and_port_dependent) {
    pair();
    return choose_port(plan, protocol, choice, now);
  } else {
    external.mapping = find_mapping(Key::internal(plan.tenant.id, protocol, inside), now);
    if (external.mapping == no_session) {
      pair();
      return choose_port(plan, protocol, choice, now);
    }
    const Leg<Family>& known = table_[external.mapping].outside;
    use(known.local, known.local_port);
  }
  // Two hosts may use one protocol without ports, or two destinations be redirected to one.
  if (!is_free_outside(plan, protocol, now)) return Reason::remote_in_use;
  return {};
}

// What choose_external() took for a plan that comes to nothing.
template <class Family>
void Shard<Family>::give_back(const Plan& plan, std::uint8_t protocol, Tick now) {
  const External& external = plan.external;
  if (external.mapping != no_session || external.is_forward || protocol::is_portless(protocol)) {
    return;
  }
  uses_.give_back_port(plan.tenant.slot);
  if (externals_.has_blocks()) return release_in_block(plan.outside, protocol, now);
  if (snapshot_->policy().mapping != Mapping::endpoint_independent) return;
  externals_.ports(external.address, protocol)
      .release(number_, external.port, now, PortSpace::Rest::none);
}

// A port of the plan's address for a new mapping of the tenant; sets the plan's outside if it is
// taken.
template <class Family>
std::optional<Reason> Shard<Family>::choose_port(Plan& plan, std::uint8_t protocol, Choice choice,
                                                 Tick now) {
  const std::uint32_t slot = plan.tenant.slot;
  const std::uint32_t limit = plan.tenant.port_limit;
  const bool serves_once = snapshot_->policy().mapping == Mapping::endpoint_independent;
  plan.outside.local = plan.external.address;
  if (choice == Choice::possible) {
    const std::uint32_t count = uses_.port_count(slot);
    // Where every session has a port of its own, whichever ends gives one back.
    const bool is_given_one = count >= uses_.count(slot);
    if (count > limit || (count == limit && !is_given_one)) return Reason::port_limit;
    // Draws as the taking will, so that both look at the same ports.
    const Random before = random_;
    if (serves_once ? has_port(plan, protocol, now)
                    : find_port_for_remote(plan, protocol, choice, now)) {
      random_ = before;
      return {};
    }
    if (!is_given_one || !(serves_once || tries_all_ports())) return Reason::no_free_port;
    port_wanted_ = PortWanted{plan.external.address,
                              protocol,
                              plan.inside.local_port,
                              {plan.outside.remote, plan.outside.remote_port},
                              plan.realm()};
    return {};
  }
  if (!uses_.take_port(slot, limit)) return Reason::port_limit;
  if (serves_once ? take_port(plan, protocol, now)
                  : find_port_for_remote(plan, protocol, choice, now)) {
    return {};
  }
  uses_.give_back_port(slot);
  return Reason::no_free_port;
}

// Whether take_port() would find one.
template <class Family>
bool Shard<Family>::has_port(const Plan& plan, std::uint8_t protocol, Tick now) {
  if (externals_.has_blocks()) return has_port_of_block(plan, protocol, now);
  return externals_.ports(plan.external.address, protocol).has_any(plan.inside.local_port, now);
}

template <class Family>
bool Shard<Family>::take_port(Plan& plan, std::uint8_t protocol, Tick now) {
  // Ports that new rules are about to take, which happens within moments, are passed over.
  constexpr int passed_over_max = 16;
  const Address& address = plan.external.address;
  const std::uint16_t like = plan.inside.local_port;
  PortSpace& ports = externals_.ports(address, protocol);
  const bool has_blocks = externals_.has_blocks();
  for (int passed_over = 0; passed_over < passed_over_max; ++passed_over) {
    auto port = has_blocks ? take_port_of_block(plan, protocol, now)
                           : ports.take(number_, like, random_.next(), now);
    if (!port && !has_blocks) port = ports.take_resting(number_, like, now);
    if (!port) return false;
    if (rules().forward(protocol, {address, *port}) == nullptr) {
      plan.external.port = plan.outside.local_port = *port;
      plan.flows.outside = outside_flow(plan, protocol).hash(secret_);
      return true;
    }
    if (has_blocks) {
      pass_over_in_block(plan, protocol, *port, now);
    } else {
      ports.release(number_, *port, now, PortSpace::Rest::full);
    }
  }
  return false;
}

// With address-and-port-dependent mapping a port serves once for each remote endpoint. Which one a
// session gets follows from its flow, by a hash that only this NAT knows: so a host's sessions with
// two remotes have two ports whether its own port is free or not, and discovery finds the same
// mapping at all times (RFC 4787 REQ-1, REQ-11). Where another session has that one, a bounded
// number of others is tried, of the same parity first. All are this shard's own.
template <class Family>
bool Shard<Family>::find_port_for_remote(Plan& plan, std::uint8_t protocol, Choice choice,
                                         Tick now) {
  if (externals_.has_blocks()) return find_port_in_blocks(plan, protocol, choice, now);
  const PortRanges& ranges = snapshot_->policy().ports;
  const PortSpace& space = externals_.ports(plan.external.address, protocol);
  const auto serves = [&](std::uint16_t port) {
    plan.external.port = plan.outside.local_port = port;
    return !space.is_withheld(port) && is_free_for_remote(plan, protocol, now);
  };
  const std::uint32_t like = plan.inside.local_port & 1u;
  for (const std::uint32_t parity : {like, like ^ 1u}) {
    const PortSequence ports(ranges, number_ << 1 | parity, 2 * shards_);
    if (ports.count() == 0) continue;
    if (serves(ports[ports.place_of(place_of_flow(plan))])) return true;
    if (ports.any_of_spread(tried_per_parity, random_, serves)) return true;
  }
  return false;
}

// Whether find_port_for_remote() finds any that there is.
template <class Family>
bool Shard<Family>::tries_all_ports() const {
  const PortRanges& ranges = snapshot_->policy().ports;
  const auto count = [&](std::uint32_t parity) {
    return PortSequence(ranges, number_ << 1 | parity, 2 * shards_).count();
  };
  return std::max(count(0), count(1)) <= tried_per_parity;
}

// Not of the bits that the index uses, which a tenant must not be able to read off its ports.
template <class Family>
std::uint32_t Shard<Family>::place_of_flow(const Plan& plan) const {
  const std::uint64_t of_flow = fold_multiply(plan.flows.inside ^ secret_[2], secret_[3] | 1);
  return static_cast<std::uint32_t>(of_flow);
}

template <class Family>
bool Shard<Family>::is_free_for_remote(Plan& plan, std::uint8_t protocol, Tick now) {
  const Leg<Family>& outside = plan.outside;
  return rules().forward(protocol, {outside.local, outside.local_port}) == nullptr &&
         externals_.shard_of(outside.local, protocol, outside.local_port) == number_ &&
         is_free_outside(plan, protocol, now);
}

// Whether no session has the plan's outside, which it hashes.
template <class Family>
bool Shard<Family>::is_free_outside(Plan& plan, std::uint8_t protocol, Tick now) {
  const Key key = outside_flow(plan, protocol);
  plan.flows.outside = key.hash(secret_);
  return find_live(key, plan.flows.outside, now) == no_session;
}

template <class Family>
Reason Shard<Family>::establish(const Plan& plan, const Parsed<Family>& parsed, Packet& packet,
                                Tick now) {
  const SessionRef ref = table_.allocate();
  if (ref == no_session) {
    uses_.give_back(plan.slot);
    give_back(plan, parsed.protocol, now);
    return Reason::table_full;
  }
  const bool is_outbound = packet.direction != Direction::inbound;
  Record& session = table_.blank(ref);
  SessionState state = first_state<Family>(parsed.protocol, !is_outbound);
  session.inside = plan.inside;
  session.outside = plan.outside;
  session.namespace_id = plan.tenant.id;
  session.protocol = parsed.protocol;
  session.remote_is_inside = plan.remote_is_inside;
  session.is_forward = plan.external.is_forward;
  session.is_from_outside = !is_outbound;
  // Where anybody may send to a mapping, ever new remotes must not keep it alive.
  const bool by_anybody = anybody_may_send_ && !is_outbound && parsed.protocol != protocol::tcp &&
                          plan.external.mapping != no_session;
  session.last_active = by_anybody ? table_[plan.external.mapping].last_active : now;
  set_deltas(session);
  if (parsed.protocol == protocol::tcp) {
    const TcpSegment syn =
        read_tcp_segment(packet.bytes.data() + parsed.transport, parsed.transport_size);
    open({state, session.internal_receiver, session.remote_receiver, session.claim,
          table_.aside(ref)},
         syn, is_outbound ? TcpSender::internal : TcpSender::remote);
  }
  table_.add(ref, state, plan.external.mapping, plan.slot, plan.flows);
  table_.count_traffic(ref, !is_outbound, Family::length(packet.bytes.data()));
  if (events_.is_heard()) events_.made(session, part_of(ref), now);
  apply(is_outbound ? outbound_rewrite(session) : inbound_rewrite(session), parsed, packet);
  if (!is_outbound) {
    packet.namespace_id = plan.tenant.id;
  } else if (packet.direction == Direction::hairpin) {
    packet.namespace_id = session.realm();
  }
  return is_outbound ? Reason::translated_outbound : Reason::translated_inbound;
}

// Several are freed together, so that what they are in comes from memory side by side.
template <class Family>
std::uint32_t Shard<Family>::expire(Tick now, std::uint32_t budget) {
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
    for (std::size_t i = 0; i < count; ++i) {
      release(over[i], hashes[i], EndCause::expired, now);
    }
  }
  return looked;
}

// Where new sessions are refused, only one that is over makes room.
template <class Family>
std::optional<RoomWanted> Shard<Family>::room_wanted(NamespaceId id) const {
  const Tenant* tenant = snapshot_->find(id);
  if (tenant == nullptr) return {};
  const bool only_over = snapshot_->policy().at_limit == AtLimit::refuse;
  if (only_over && !uses_.has_over(tenant->slot)) return {};
  return RoomWanted{tenant->slot, only_over, port_wanted_};
}

template <class Family>
std::optional<Candidate> Shard<Family>::first_to_go(const RoomWanted& wanted) {
  const SessionRef ref = table_.first_to_go(wanted.slot);
  if (ref == no_session) return {};
  return Candidate{ref, standing_of(table_[ref]), wanted.port && gives_port(ref, *wanted.port)};
}

// Whether a new mapping could have the session's port when that has ended.
template <class Family>
bool Shard<Family>::gives_port(SessionRef ref, const PortWanted& wanted) {
  const Record& session = table_[ref];
  if (!counts_as_port(session) || !table_.is_alone(ref) || session.protocol != wanted.protocol ||
      wanted.external != IpAddress{session.outside.local}) {
    return false;
  }
  const PortSpace& ports = externals_.ports(session.outside.local, session.protocol);
  const std::uint16_t port = session.outside.local_port;
  if (snapshot_->policy().mapping == Mapping::address_and_port_dependent) {
    const IpEndpoint remote{session.outside.remote, session.outside.remote_port};
    return shard_of_port(wanted.like, shards_) == number_ && remote == wanted.remote &&
           session.realm() == wanted.realm && !ports.is_withheld(port);
  }
  return ports.class_of(port) == ports.class_for(wanted.like) && !ports.is_withheld(port);
}

template <class Family>
bool Shard<Family>::evict(std::uint32_t slot, const Candidate& candidate, Tick now) {
  const Record& session = table_[candidate.ref];
  if (session.state == SessionState::free || table_.slot(candidate.ref) != slot ||
      standing_of(session) != candidate.standing) {
    return false;
  }
  release(candidate.ref, EndCause::evicted, now);
  return true;
}

// Spares the other shards the question. None can have a session that is not counted yet.
template <class Family>
bool Shard<Family>::evict_if_all_are_here(NamespaceId id, Tick now) {
  const auto wanted = room_wanted(id);
  if (!wanted || table_.count(wanted->slot) != uses_.count(wanted->slot)) return false;
  return evict_here(*wanted, now);
}

template <class Family>
bool Shard<Family>::evict_here(const RoomWanted& wanted, Tick now) {
  const SessionRef ref = table_.first_to_go(wanted.slot);
  if (ref == no_session || (wanted.only_over && !is_over(table_[ref].state)) ||
      (wanted.port && !gives_port(ref, *wanted.port))) {
    return false;
  }
  release(ref, EndCause::evicted, now);
  return true;
}

// As many as a batch of packets may have ended.
template <class Family>
std::size_t Shard<Family>::end_sessions(const SessionPattern& pattern, std::uint32_t& position,
                                        Tick now) {
  const std::uint32_t end = std::min(table_.used(), position + records_per_look);
  std::size_t ended = 0;
  for (; position < end && ended < batch_max; ++position) {
    if (!table_.is_meant(position, pattern, now)) continue;
    release(position, EndCause::flushed, now);
    ++ended;
  }
  return ended;
}

template <class Family>
void Shard<Family>::state_changed(SessionRef ref, SessionState before, Tick now) {
  const bool is_over_now = is_over(table_[ref].state);
  if (is_over_now != is_over(before)) {
    const std::uint32_t slot = table_.slot(ref);
    is_over_now ? uses_.add_over(slot) : uses_.remove_over(slot);
  }
  table_.state_changed(ref, before, now);
}

template <class Family>
void Shard<Family>::set_snapshot(std::shared_ptr<const Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  may_have_unfit_ = true;
  read_policy();
}

template <class Family>
void Shard<Family>::count_in(SessionRef ref, std::uint32_t slot) {
  const std::uint32_t before = table_.slot(ref);
  uses_.move(before, slot);
  if (is_over(table_[ref].state)) {
    uses_.add_over(slot);
    uses_.remove_over(before);
  }
  table_.change_slot(ref, slot);
}

template <class Family>
bool Shard<Family>::end_unfit(std::uint32_t& position, Tick now) {
  constexpr std::uint32_t records_max = 4096;
  const std::uint32_t end = std::min(table_.used(), position + records_max);
  for (; position < end; ++position) {
    const Record& session = table_[position];
    if (session.state == SessionState::free) continue;
    if (!fits(session)) {
      release(position, EndCause::policy, now);
    } else if (const std::uint32_t slot = slot_for(session); slot != table_.slot(position)) {
      count_in(position, slot);
    }
  }
  may_have_unfit_ = !is_end(position);
  return may_have_unfit_;
}

// Whether the policy would still have the session made as it is.
template <class Family>
bool Shard<Family>::fits(const Record& session) const {
  const Tenant* tenant = snapshot_->find(session.namespace_id);
  if (tenant == nullptr) return false;
  const End internal{session.inside.local, session.inside.local_port};
  const End external{session.outside.local, session.outside.local_port};
  const auto* forward = rules().forward(session.protocol, external);
  if (session.is_forward) {
    if (forward == nullptr || forward->namespace_id != tenant->id || forward->to != internal) {
      return false;
    }
  } else if (forward != nullptr || rules().forwarded_as(tenant->id, session.protocol, internal)) {
    return false;
  }
  const End asked{session.inside.remote, session.inside.remote_port};
  const End remote{session.outside.remote, session.outside.remote_port};
  if (session.is_from_outside) return asked == remote && !session.remote_is_inside;
  const auto redirected = rules().redirect(tenant->id, session.protocol, asked);
  const bool stays_inside = redirected && any_contains(tenant->policy->inside, redirected->address);
  const bool passes =
      !redirected && any_contains(tenant->policy->untranslated, session.inside.remote);
  return redirected.value_or(asked) == remote && stays_inside == session.remote_is_inside &&
         !passes && !rules().drops(tenant->id, session.protocol, asked.port);
}

template <class Family>
void Shard<Family>::read_policy() {
  const Timeouts& timeouts = snapshot_->policy().timeouts;
  StateTimeouts by_state{};
  const auto set = [&](SessionState state, std::chrono::milliseconds timeout) {
    by_state[static_cast<std::size_t>(state)] = static_cast<std::int32_t>(timeout.count());
  };
  anybody_may_send_ = snapshot_->policy().filtering == Filtering::endpoint_independent;
  frees_closed_at_once_ = timeouts.tcp_transitory.count() == 0;
  const auto opening = frees_closed_at_once_ ? Timeouts{}.tcp_transitory : timeouts.tcp_transitory;
  set(SessionState::asked_by_remote, timeouts.udp);
  set(SessionState::asked_by_internal, timeouts.udp);
  set(SessionState::echo_asked, timeouts.icmp);
  set(SessionState::udp, timeouts.udp);
  set(SessionState::icmp, timeouts.icmp);
  set(SessionState::portless, timeouts.udp);
  set(SessionState::tcp_syn_internal, opening);
  set(SessionState::tcp_syn_remote, opening);
  set(SessionState::tcp_established, timeouts.tcp_established);
  set(SessionState::tcp_fin_internal, timeouts.tcp_established);
  set(SessionState::tcp_fin_remote, timeouts.tcp_established);
  set(SessionState::tcp_closing, opening);
  set(SessionState::tcp_reset, opening);
  table_.set_timeouts(by_state);
}

// --- sessions of an earlier engine

// A record is the truth, but it may come from a file: what contradicts the policy, the clock or
// another record is dropped.
template <class Family>
void Shard<Family>::adopt(Tick now, bool is_recent) {
  std::vector<SessionRef> kept;
  for (SessionRef ref = table_.used(); ref-- > 0;) {
    const Record& session = table_[ref];
    if (session.state == SessionState::free || !is_recent || !is_timely(session, now)) {
      table_.drop(ref);
    } else {
      kept.push_back(ref);
    }
  }
  if (kept.empty()) return;
  // Each is then the most recently active one so far, which Activity puts at the end of its list.
  std::ranges::stable_sort(kept, {},
                           [&](SessionRef ref) { return elapsed(now, table_[ref].last_active); });
  for (const SessionRef ref : kept) {
    if (!adopt(ref)) table_.drop(ref);
  }
}

template <class Family>
bool Shard<Family>::adopt(SessionRef ref) {
  Record& session = table_[ref];
  if (!is_sound(session) || !fits(session) ||
      table_.find(Key::of(session, KeyKind::inside_flow)) != no_session ||
      table_.find(Key::of(session, KeyKind::outside_flow)) != no_session) {
    return false;
  }
  SessionRef mapping = no_session;
  if (table_.shares_mapping(session)) {
    mapping = table_.find(Key::of(session, KeyKind::external));
    const auto same_internal = [&](SessionRef other) {
      return table_[other].namespace_id == session.namespace_id &&
             table_[other].inside.local == session.inside.local &&
             table_[other].inside.local_port == session.inside.local_port;
    };
    if (mapping != no_session && !same_internal(mapping)) return false;
    if (!session.is_forward && mapping != table_.find(Key::of(session, KeyKind::internal))) {
      return false;
    }
    if (mapping == no_session && !session.is_forward && !externals_.has_blocks() &&
        !externals_.ports(session.outside.local, session.protocol)
             .take_exactly(number_, session.outside.local_port)) {
      return false;
    }
  }
  if (!may_adopt_in_block(session, mapping)) return false;
  set_deltas(session);
  const std::uint32_t slot = slot_for(session);
  uses_.add(slot);
  if (mapping == no_session && counts_as_port(session)) uses_.add_port(slot);
  if (is_over(session.state)) uses_.add_over(slot);
  table_.keep(ref, mapping, slot);
  return true;
}

// Whether the session's last packet was not in the future, and its time is not over. One from the
// future would keep all others waiting in the timer wheel.
template <class Family>
bool Shard<Family>::is_timely(const Record& session, Tick now) const {
  constexpr std::int32_t disagreement = 1000;  // of the clocks of an earlier engine's threads
  const bool has_timeout = session.state <= SessionState::tcp_reset;
  return has_timeout && elapsed(session.last_active, now) >= -disagreement &&
         !table_.expired(session, now);
}

// Whether the record's protocol and state belong together, no field is out of its range, and both
// its legs lead to this shard.
template <class Family>
bool Shard<Family>::is_sound(const Record& session) const {
  const bool is_tcp = session.protocol == protocol::tcp;
  const bool has_tcp_state =
      session.state >= SessionState::tcp_syn_internal && session.state <= SessionState::tcp_reset;
  const bool is_known = is_tcp || session.protocol == protocol::udp ||
                        session.protocol == Family::icmp_protocol ||
                        protocol::is_portless(session.protocol);
  if (!is_known || is_tcp != has_tcp_state) return false;
  if (!is_tcp && session.state != answered_state<Family>(session.protocol) &&
      session.state != first_state<Family>(session.protocol, session.is_from_outside)) {
    return false;
  }
  if (!is_sound_receiver(session.internal_receiver) || !is_sound_receiver(session.remote_receiver))
    return false;
  if (!externals_.contains(session.outside.local)) return false;
  const bool has_any_port = session.is_forward || protocol::is_portless(session.protocol);
  if (!has_any_port && !snapshot_->policy().ports.contains(session.outside.local_port)) {
    return false;
  }
  if (shard_of_port(session.inside.local_port, shards_) != number_) return false;
  const bool keeps_bits = !table_.shares_mapping(session) && !session.is_forward;
  return !keeps_bits || shard_of_port(session.outside.local_port, shards_) == number_;
}

template class Shard<Ipv4>;
template class Shard<Ipv6>;

}  // namespace swnat
