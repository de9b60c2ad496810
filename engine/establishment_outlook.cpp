// What packets without a session would come to in one shard: by the decisions of establishment.cpp,
// under a Look, and without what these lead to.
#include "engine/establishment.h"
#include "engine/session/tcp_state.h"

namespace swnat {
namespace {

template <class Rule>
RuleMet<Rule> rule_met(const std::vector<Rule>& all, const Rule* rule) {
  return {static_cast<std::size_t>(rule - all.data()), *rule};
}

// Of a session that a packet without one begins.
template <class Family, class Either>
void tell_timeouts(const SessionTable<Family>& table, std::uint8_t protocol, bool is_from_outside,
                   Either& outlook) {
  const bool is_tcp = protocol == protocol::tcp;
  const SessionState opening =
      is_from_outside ? SessionState::tcp_syn_remote : SessionState::tcp_syn_internal;
  const SessionState first = is_tcp ? opening : first_state<Family>(protocol, is_from_outside);
  const SessionState then =
      is_tcp ? SessionState::tcp_established : answered_state<Family>(protocol);
  outlook.unanswered_timeout = std::chrono::milliseconds(table.timeout(first));
  outlook.answered_timeout = std::chrono::milliseconds(table.timeout(then));
}

template <class Family>
void tell_limits(Sessions<Family>& sessions, const NamespaceEntry& tenant,
                 const typename Sessions<Family>::Room& room, OutboundOutlook& outlook) {
  NamespaceUses& uses = sessions.uses();
  outlook.sessions = {uses.count(room.slot), room.limit};
  if (tenant.policy->port_limit != 0) {
    outlook.ports = {uses.port_count(tenant.slot), tenant.port_limit};
  }
  outlook.all_sessions = {uses.total(), uses.max_sessions()};
}

// What is known of the external endpoint, be it that the session gets it or not.
template <class Family>
void tell_external(Sessions<Family>& sessions, const NewSession<Family>& wanted,
                   std::uint8_t protocol, OutboundOutlook& outlook, Tick now) {
  const Leg<Family>& outside = wanted.outside;
  outlook.external = {outside.local, outside.local_port};
  const bool is_portless = protocol::is_portless(protocol);
  if (wanted.is_forward) {
    const auto* forward = sessions.rules().forward(protocol, {outside.local, outside.local_port});
    outlook.source = ExternalSource::forward;
    outlook.forwarded_as = rule_met(sessions.policy().forwards, forward->rule);
    return;
  }
  if (!is_portless) {
    const PortSpace::Use use = sessions.externals().ports(outside.local, protocol).use(now);
    outlook.free_ports = use.free + use.resting;
  }
  if (outlook.reason != Reason::translated_outbound) {
    outlook.external.port = 0;
  } else if (is_portless) {
    outlook.source = ExternalSource::own;
  } else if (wanted.mapping != no_session) {
    outlook.source = ExternalSource::mapping;
  } else if (sessions.policy().mapping == Mapping::address_and_port_dependent) {
    // A block that ends its rest just then may be the new one.
    const bool is_open = sessions.externals().has_blocks();
    outlook.source = is_open ? ExternalSource::any : ExternalSource::chosen;
    if (is_open) outlook.external.port = 0;
  } else {
    outlook.source = outside.local_port == 0 ? ExternalSource::any : ExternalSource::own;
  }
}

}  // namespace

template <class Family>
OutboundForetold<Family> Establishment<Family>::foretell_outbound(const Parsed<Family>& parsed,
                                                                  NamespaceId id, Tick now) {
  OutboundForetold<Family> foretold;
  OutboundOutlook& told = foretold.outlook;
  told.remote = {parsed.destination, parsed.destination_port};
  const auto judged =
      judge(sessions_, id, parsed.protocol, {parsed.destination, parsed.destination_port});
  told.is_known_namespace = judged.tenant != nullptr;
  const Policy& policy = sessions_.policy();
  if (judged.drop != nullptr) told.drop = rule_met(policy.drops, judged.drop);
  if (judged.redirect != nullptr) {
    told.redirect = rule_met(policy.redirects, judged.redirect->rule);
    told.remote = judged.redirect->rule->to;
  }
  if (judged.reason) {
    told.reason = *judged.reason;
    return foretold;
  }
  if (const auto reason = refuses(parsed)) {
    told.reason = *reason;
    return foretold;
  }
  const Room room = Sessions<Family>::room_of(*judged.tenant, nullptr);
  tell_limits(sessions_, *judged.tenant, room, told);
  tell_timeouts<Family>(sessions_.table(), parsed.protocol, false, told);
  const std::uint64_t flow =
      Key::inside_flow(id, parsed.protocol, parsed.leg_from_inside()).hash(sessions_.secret());
  NewSession<Family> wanted = outbound_session(judged, room, parsed, flow);
  const std::optional<Reason> full = sessions_.lacks_room(room);
  const bool evicts = full == Reason::session_limit && sessions_.room_wanted(id).has_value();
  foretold.has_record = sessions_.table().has_place();
  std::optional<Reason> fault = full;
  if (evicts) {
    sessions_.want_legacy({});
    fault = externals_.look(wanted, parsed.protocol, Choice::possible, now);
    if (!fault) foretold.room_wanted = sessions_.room_wanted(id);
  } else if (!full) {
    fault = foretold.has_record ? externals_.look(wanted, parsed.protocol, Choice::foretold, now)
                                : Reason::table_full;
  }
  told.reason = fault.value_or(Reason::translated_outbound);
  if (full && !evicts) return foretold;
  tell_external(sessions_, wanted, parsed.protocol, told, now);
  if (evicts && wanted.mapping != no_session && sessions_.table().is_alone(wanted.mapping)) {
    foretold.last_of_mapping = sessions_.table().view(wanted.mapping, now);
  }
  return foretold;
}

template <class Family>
InboundOutlook Establishment<Family>::foretell_inbound(const Parsed<Family>& parsed,
                                                       NamespaceId begun_by, Tick now) {
  InboundOutlook told;
  const Leg<Family> outside = parsed.leg_from_outside();
  Entry entry;
  const auto fault = admit(parsed, entry, now);
  if (entry.forward != nullptr) {
    told.forward = rule_met(sessions_.policy().forwards, entry.forward->rule);
  }
  const SessionRef mapping = sessions_.find_mapping(Key::external(parsed.protocol, outside), now);
  told.has_mapping = mapping != no_session;
  if (mapping != no_session) {
    const Session<Family>& known = sessions_[mapping];
    told.namespace_id = known.namespace_id;
    told.internal = {known.inside.local, known.inside.local_port};
  }
  if (entry.forward != nullptr) {
    told.namespace_id = entry.forward->namespace_id;
    told.internal = entry.forward->rule->to;
  }
  if (fault) {
    told.reason = *fault;
    return told;
  }
  const Room room = Sessions<Family>::room_of(*entry.tenant, entry.forward);
  NamespaceUses& uses = sessions_.uses();
  told.counts_to_forward = room.slot != entry.tenant->slot;
  told.sessions = {uses.count(room.slot), room.limit};
  told.all_sessions = {uses.total(), uses.max_sessions()};
  tell_timeouts<Family>(sessions_.table(), parsed.protocol, true, told);
  const bool begins_there = begun_by == entry.tenant->id && !told.counts_to_forward;
  std::optional<Reason> full =
      sessions_.lacks_room(room, begins_there ? 1 : 0, begun_by == 0 ? 0 : 1);
  if (full == Reason::session_limit && told.counts_to_forward) {
    const SessionRef evicted = sessions_.evictable_here({room.slot, true});
    if (evicted != no_session) {
      told.evicted = sessions_.table().view(evicted, now);
      full = {};
    }
  }
  if (!full && !told.evicted && !sessions_.table().has_place()) full = Reason::table_full;
  told.reason = full.value_or(Reason::translated_inbound);
  return told;
}

template OutboundForetold<Ipv4> Establishment<Ipv4>::foretell_outbound(const Parsed<Ipv4>&,
                                                                       NamespaceId, Tick);
template OutboundForetold<Ipv6> Establishment<Ipv6>::foretell_outbound(const Parsed<Ipv6>&,
                                                                       NamespaceId, Tick);
template InboundOutlook Establishment<Ipv4>::foretell_inbound(const Parsed<Ipv4>&, NamespaceId,
                                                              Tick);
template InboundOutlook Establishment<Ipv6>::foretell_inbound(const Parsed<Ipv6>&, NamespaceId,
                                                              Tick);

}  // namespace swnat
