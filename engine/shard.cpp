#include "engine/shard.h"

#include "engine/adoption.h"
#include "engine/established.h"
#include "engine/judgement.h"

namespace swnat {

template <class Family>
void Shard<Family>::adopt(Tick now, bool is_recent) {
  adopt_all(sessions_, now, is_recent);
}

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
  sessions_.table().prefetch_change({answered, answered_count});
  if (first_count != 0) establishment_.prefetch({first, first_count});
}

template <class Family>
Reason Shard<Family>::outbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow,
                               Tick now) {
  const SessionRef ref = sessions_.find_live(inside_flow(parsed, packet), flow, now);
  if (ref != no_session) return translate(ref, parsed, packet, now);
  return establishment_.outbound(parsed, packet, flow, now);
}

template <class Family>
Reason Shard<Family>::inbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow,
                              Tick now) {
  const SessionRef ref = sessions_.find_live(outside_flow(parsed), flow, now);
  if (ref != no_session) return translate(ref, parsed, packet, now);
  return establishment_.inbound(parsed, packet, flow, now);
}

template <class Family>
Reason Shard<Family>::keep(const Parsed<Family>& parsed, const Packet& packet,
                           Endpoint<typename Family::Address>& external, Tick now) {
  const Key key = inside_flow(parsed, packet);
  const std::uint64_t flow = key.hash(sessions_.secret());
  SessionRef ref = sessions_.find_live(key, flow, now);
  Reason reason = Reason::translated_outbound;
  if (ref != no_session) {
    // What is over stays so, until a packet opens it again.
    if (!is_over(sessions_[ref].state)) refresh(sessions_[ref], Direction::outbound, now);
  } else {
    reason = establishment_.keep(parsed, packet, flow, ref, now);
  }
  if (ref == no_session) return reason;
  const Leg<Family>& outside = sessions_[ref].outside;
  external = {outside.local, outside.local_port};
  return reason;
}

template <class Family>
Reason Shard<Family>::answer(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  const SessionRef ref =
      sessions_.find_asked(packet.namespace_id, parsed.protocol, parsed.leg_from_outside(), now);
  return ref == no_session ? Reason::no_mapping : translate(ref, parsed, packet, now);
}

template <class Family>
typename Shard<Family>::Prospect Shard<Family>::prospect(const Parsed<Family>& parsed,
                                                         const Packet& packet, Tick now) {
  const SessionRef ref = sessions_.find_live(inside_flow(parsed, packet), now);
  if (ref != no_session) {
    return sessions_[ref].is_from_outside ? Prospect::answers : Prospect::has_session;
  }
  const auto judged = judge(sessions_, packet.namespace_id, parsed.protocol,
                            {parsed.destination, parsed.destination_port});
  const bool is_ruled = judged.reason || judged.redirect != nullptr;
  return is_ruled ? Prospect::ruled : Prospect::asks_for_owner;
}

template <class Family>
bool Shard<Family>::has_owner(const Parsed<Family>& parsed, Tick now) {
  const Leg<Family> outside = parsed.leg_from_outside();
  return sessions_.rules().forward(parsed.protocol, {outside.local, outside.local_port}) !=
             nullptr ||
         sessions_.find_mapping(Key::external(parsed.protocol, outside), now) != no_session ||
         sessions_.find_live(outside_flow(parsed), now) != no_session;
}

template <class Family>
Reason Shard<Family>::error_about_sent(NamespaceId sender, const Parsed<Family>& parsed,
                                       const Quoted<Family>& quoted, Packet& error, Tick now) {
  const SessionRef ref =
      sessions_.find_asked(sender, quoted.packet.protocol, quoted.packet.leg_from_inside(), now);
  if (ref == no_session) return Reason::icmp_error_unmatched;
  if (!is_from_host(parsed)) return Reason::invalid_address;
  const Record& session = sessions_[ref];
  rewrite_error(inbound_error_rewrite(session, parsed), parsed, quoted, error);
  error.namespace_id = session.namespace_id;
  return Reason::translated_inbound;
}

template <class Family>
Reason Shard<Family>::error_about_delivered(const Parsed<Family>& parsed,
                                            const Quoted<Family>& quoted, Packet& error, Tick now) {
  const Key key = Key::inside_flow(error.namespace_id, quoted.packet.protocol,
                                   quoted.packet.leg_from_outside());
  const SessionRef ref = sessions_.find_live(key, now);
  if (ref == no_session) {
    const NamespaceEntry* tenant = sessions_.find_namespace(error.namespace_id);
    const bool needs_none =
        tenant != nullptr && any_contains(tenant->policy->untranslated, parsed.destination);
    if (needs_none) return Reason::untranslated;
    return error.direction == Direction::outbound ? Reason::icmp_error_unsent
                                                  : Reason::icmp_error_unmatched;
  }
  if (!is_from_host(parsed)) return Reason::invalid_address;
  const Record& session = sessions_[ref];
  rewrite_error(outbound_error_rewrite(session), parsed, quoted, error);
  if (error.direction == Direction::hairpin) error.namespace_id = session.realm();
  return Reason::translated_outbound;
}

template <class Family>
std::optional<Reason> Shard<Family>::rule_for(NamespaceId id, const Parsed<Family>& parsed) const {
  const NamespaceEntry* tenant = sessions_.find_namespace(id);
  if (tenant == nullptr) return {};
  if (sessions_.rules().drop(id, parsed.protocol, 0) != nullptr) return Reason::dropped_by_rule;
  if (any_contains(tenant->policy->untranslated, parsed.destination)) return Reason::untranslated;
  return {};
}

template class Shard<Ipv4>;
template class Shard<Ipv6>;

}  // namespace swnat
