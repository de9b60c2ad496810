#include "engine/establishment.h"

#include "engine/lookup.h"
#include "engine/session/flow.h"
#include "engine/session/tcp_state.h"
#include "engine/wire/common_packet.h"

namespace swnat {
namespace {

// Sessions looked at whenever one is established, so that the table is swept even if nobody calls
// expire().
constexpr std::uint32_t expire_per_establishment = 4;

}  // namespace

// What no session can be made of, whatever the policy says.
template <class Family>
std::optional<Reason> Establishment<Family>::refuses(const Parsed<Family>& parsed) {
  if (!is_from_host(parsed)) return Reason::invalid_address;
  if (parsed.protocol != protocol::tcp && parsed.protocol != protocol::udp) return {};
  if (parsed.source_port == 0 || parsed.destination_port == 0) return Reason::invalid_port;
  constexpr std::uint8_t all = tcp_flag::syn | tcp_flag::ack | tcp_flag::rst | tcp_flag::fin;
  if (parsed.protocol == protocol::tcp && (parsed.tcp_flags & all) != tcp_flag::syn) {
    return Reason::tcp_not_syn;
  }
  return {};
}

// An outbound packet's mapping may be there already; then what it shares with that mapping's other
// sessions is looked at, too.
template <class Family>
void Establishment<Family>::prefetch(std::span<const Packet* const> packets) const {
  const SessionTable<Family>& table = std::as_const(sessions_).table();
  const Secret& secret = sessions_.secret();
  Leg<Family> legs[batch_max];
  std::uint64_t hashes[batch_max];
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const Packet& packet = *packets[i];
    const std::uint8_t protocol = common_protocol<Family>(packet);
    const bool is_inbound = packet.direction == Direction::inbound;
    legs[i] = LegWords<Family>::read(packet, is_inbound).leg();
    hashes[i] = (is_inbound ? Key::external(protocol, legs[i])
                            : Key::internal(packet.namespace_id, protocol, legs[i]))
                    .hash(secret);
  }
  table.mappings().prefetch({hashes, packets.size()});
  table.prefetch_next(static_cast<std::uint32_t>(packets.size()));
  SessionRef mappings[batch_max];
  for (std::size_t i = 0; i < packets.size(); ++i) {
    mappings[i] = table.mappings().candidate(hashes[i]);
    if (mappings[i] != no_session) table.prefetch(mappings[i]);
  }
  std::uint64_t flows[batch_max];
  std::uint64_t permissions[batch_max];
  std::size_t count = 0;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (mappings[i] == no_session) continue;
    const std::uint8_t protocol = common_protocol<Family>(*packets[i]);
    Leg<Family> outside = table[mappings[i]].outside;
    outside.remote = legs[i].remote;
    outside.remote_port = legs[i].remote_port;
    flows[count] = Key::outside_flow(0, protocol, outside).hash(secret);
    permissions[count] = Key::permission(0, protocol, outside).hash(secret);
    ++count;
  }
  table.flows().prefetch({flows, count});
  table.mappings().prefetch({permissions, count});
}

template <class Family>
Reason Establishment<Family>::outbound(const Parsed<Family>& parsed, Packet& packet,
                                       std::uint64_t flow, Tick now) {
  SessionRef made = no_session;
  const Reason reason = keep(parsed, packet, flow, made, now);
  return made == no_session ? reason : send(made, parsed, packet);
}

template <class Family>
Reason Establishment<Family>::keep(const Parsed<Family>& parsed, const Packet& packet,
                                   std::uint64_t flow, SessionRef& made, Tick now) {
  const Judgement<Family> judged = judge(sessions_, packet.namespace_id, parsed.protocol,
                                         {parsed.destination, parsed.destination_port});
  if (judged.reason) return *judged.reason;
  if (const auto reason = refuses(parsed)) return *reason;
  const NamespaceEntry* tenant = judged.tenant;
  if (sessions_.table().may_be_due(now)) sessions_.expire(now, expire_per_establishment);
  const auto room = Sessions<Family>::room_of(*tenant, nullptr);
  NewSession<Family> wanted = outbound_session(judged, room, parsed, flow);
  std::optional<Reason> full = sessions_.take_room(room);
  if (full == Reason::session_limit && sessions_.room_wanted(tenant->id)) {
    // Nothing ends for a packet that there is no external endpoint for.
    sessions_.want_legacy({});
    NewSession<Family> trial = wanted;
    if (const auto fault = externals_.choose(trial, parsed.protocol, Choice::possible, now)) {
      return *fault;
    }
    if (sessions_.evict_if_all_are_here(tenant->id, now)) full = sessions_.take_room(room);
  }
  if (full) return *full;
  // Before a port, so that none need be given back.
  const SessionRef ref = sessions_.table().allocate();
  std::optional<Reason> fault = Reason::table_full;
  if (ref != no_session) {
    fault = externals_.choose(wanted, parsed.protocol, Choice::taken, now);
    if (!fault) {
      establish(wanted, ref, parsed, packet, now);
      made = ref;
      return Reason::translated_outbound;
    }
    sessions_.table().give_back(ref);
  }
  sessions_.give_back_room(room.slot);
  return *fault;
}

// All of it but its external endpoint.
template <class Family>
NewSession<Family> Establishment<Family>::outbound_session(const Judgement<Family>& judged,
                                                           const Room& room,
                                                           const Parsed<Family>& parsed,
                                                           std::uint64_t flow) const {
  NewSession<Family> wanted{*judged.tenant,
                            room.slot,
                            parsed.leg_from_inside(),
                            {{}, parsed.destination, 0, parsed.destination_port}};
  if (judged.redirect != nullptr) {
    const End& to = judged.redirect->to;
    wanted.outside.remote = to.address;
    wanted.outside.remote_port = to.port;
    wanted.remote_is_inside = any_contains(judged.tenant->policy->inside, to.address);
  }
  wanted.flows.inside = flow;
  return wanted;
}

template <class Family>
Reason Establishment<Family>::inbound(const Parsed<Family>& parsed, Packet& packet,
                                      std::uint64_t flow, Tick now) {
  const Leg<Family> outside = parsed.leg_from_outside();
  Entry entry;
  if (const auto reason = admit(parsed, entry, now)) return *reason;
  const NamespaceEntry* tenant = entry.tenant;
  const Forward* forward = entry.forward;
  Receiver& receiver = entry.receiver;
  const auto refuse = [&](Reason reason) {
    sessions_.refused(reason, receiver.id, parsed.protocol, entry.inside,
                      End{outside.local, outside.local_port}, now);
    return reason;
  };
  // The outside must not be able to end a tenant's sessions: for it none ends, but one that is over
  // where only such count that came in as this one does. These are all in this shard, which is that
  // of the forward's internal endpoint.
  const auto room = Sessions<Family>::room_of(*tenant, forward);
  std::optional<Reason> full = sessions_.take_room(room);
  if (full == Reason::session_limit && room.slot != tenant->slot &&
      sessions_.evict_here({room.slot, true}, now)) {
    receiver.mapping = sessions_.find_mapping(Key::external(parsed.protocol, outside), now);
    full = sessions_.take_room(room);
  }
  if (full) return refuse(*full);
  const SessionRef ref = sessions_.table().allocate();
  if (ref == no_session) {
    sessions_.give_back_room(room.slot);
    return refuse(Reason::table_full);
  }
  NewSession<Family> wanted{*tenant, room.slot, entry.inside, outside};
  wanted.mapping = receiver.mapping;
  wanted.is_forward = forward != nullptr;
  wanted.flows = {entry.answer_hash, flow};
  establish(wanted, ref, parsed, packet, now);
  return send(ref, parsed, packet);
}

// Whose the packet is, before there is room for it; why it may not come in else.
template <class Family>
std::optional<Reason> Establishment<Family>::admit(const Parsed<Family>& parsed, Entry& entry,
                                                   Tick now) {
  const Leg<Family> outside = parsed.leg_from_outside();
  entry.forward = sessions_.rules().forward(parsed.protocol, {outside.local, outside.local_port});
  Receiver& receiver = entry.receiver;
  if (const auto reason = find_receiver(parsed, entry.forward, receiver, now)) return reason;
  if (const auto reason = refuses(parsed)) return not_on_the_way_out(*reason);
  entry.tenant = sessions_.find_namespace(receiver.id);
  if (entry.tenant == nullptr) return Reason::no_mapping;
  entry.inside = {receiver.internal.address, parsed.source, receiver.internal.port,
                  parsed.source_port};
  // What the host would answer is another session's: it goes to where a redirect leads, or leaves
  // as another endpoint that is forwarded to the host.
  const Key answer = Key::inside_flow(receiver.id, parsed.protocol, entry.inside);
  entry.answer_hash = answer.hash(sessions_.secret());
  if (sessions_.find_live(answer, entry.answer_hash, now) != no_session) {
    return Reason::answer_in_use;
  }
  return {};
}

// Whose the external endpoint is, by a rule or by a mapping; why the packet may not come in else.
template <class Family>
std::optional<Reason> Establishment<Family>::find_receiver(const Parsed<Family>& parsed,
                                                           const Forward* forward,
                                                           Receiver& receiver, Tick now) {
  const Leg<Family> outside = parsed.leg_from_outside();
  const SessionRef mapping = sessions_.find_mapping(Key::external(parsed.protocol, outside), now);
  if (forward != nullptr) {
    // While a rule is new, packets may still come to the shard that the port had before.
    if (shard_of_port(forward->to.port, sessions_.shards()) != sessions_.shard() ||
        sessions_.externals().shard_of(outside.local, parsed.protocol, outside.local_port) !=
            sessions_.shard()) {
      return Reason::no_mapping;
    }
    receiver = {forward->namespace_id, forward->to, mapping};
    return {};
  }
  // What nobody inside keeps is about to end, or ever new remotes could keep it.
  if (mapping == no_session ||
      (sessions_.anybody_may_send() && !sessions_[mapping].keeps_mapping())) {
    return Reason::no_mapping;
  }
  const SessionRef member = permitting(mapping, parsed, now);
  if (member == no_session) return Reason::filtered;
  const Session<Family>& session = sessions_[member];
  receiver = {session.namespace_id, {session.inside.local, session.inside.local_port}, member};
  return {};
}

// Filtering (RFC 4787 section 5): a session of the mapping by which this remote may send to it, or
// no_session. Only queries make ICMP sessions, so another remote's reply is never let in.
template <class Family>
SessionRef Establishment<Family>::permitting(SessionRef mapping, const Parsed<Family>& parsed,
                                             Tick now) {
  if (parsed.protocol == Family::icmp_protocol) return no_session;
  switch (sessions_.policy().filtering) {
    case Filtering::endpoint_independent:
      return mapping;
    case Filtering::address_dependent:
      return sessions_.find_mapping(Key::permission(0, parsed.protocol, parsed.leg_from_outside()),
                                    now);
    case Filtering::address_and_port_dependent:
      return no_session;
  }
  return no_session;
}

// `ref`: the record that was taken for it.
template <class Family>
void Establishment<Family>::establish(NewSession<Family>& wanted, SessionRef ref,
                                      const Parsed<Family>& parsed, const Packet& packet,
                                      Tick now) {
  SessionTable<Family>& table = sessions_.table();
  const bool is_outbound = packet.direction != Direction::inbound;
  Session<Family>& session = table.blank(ref);
  SessionState state = first_state<Family>(parsed.protocol, !is_outbound);
  session.inside = wanted.inside;
  session.outside = wanted.outside;
  session.namespace_id = wanted.tenant.id;
  session.protocol = parsed.protocol;
  session.remote_is_inside = wanted.remote_is_inside;
  session.is_forward = wanted.is_forward;
  session.is_from_outside = !is_outbound;
  // Where anybody may send to a mapping, ever new remotes must not keep it alive.
  const bool by_anybody = sessions_.anybody_may_send() && !is_outbound &&
                          parsed.protocol != protocol::tcp && wanted.mapping != no_session;
  session.last_active = by_anybody ? table[wanted.mapping].last_active : now;
  set_deltas(session);
  if (parsed.protocol == protocol::tcp) {
    const TcpSegment syn =
        read_tcp_segment(packet.bytes.data() + parsed.transport_offset, parsed.transport_size);
    open({state, session.internal_receiver, session.remote_receiver, session.claim,
          table.aside(ref)},
         syn, is_outbound ? TcpSender::internal : TcpSender::remote);
  }
  sessions_.begin(ref, state, wanted, now);
}

// The packet that the session was made for.
template <class Family>
Reason Establishment<Family>::send(SessionRef ref, const Parsed<Family>& parsed, Packet& packet) {
  const Session<Family>& session = sessions_[ref];
  const bool is_outbound = packet.direction != Direction::inbound;
  sessions_.table().count_traffic(ref, !is_outbound, Family::length(packet.bytes.data()));
  rewrite_packet(is_outbound ? outbound_rewrite(session) : inbound_rewrite(session), parsed,
                 packet);
  if (!is_outbound) {
    packet.namespace_id = session.namespace_id;
  } else if (packet.direction == Direction::hairpin) {
    packet.namespace_id = session.realm();
  }
  return is_outbound ? Reason::translated_outbound : Reason::translated_inbound;
}

template class Establishment<Ipv4>;
template class Establishment<Ipv6>;

}  // namespace swnat
