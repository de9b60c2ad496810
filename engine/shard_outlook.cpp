// What would become of a packet in one shard, with nothing done for it.
#include "engine/shard.h"

namespace swnat {

template <class Family>
OutboundForetold<Family> Shard<Family>::foretell_outbound(const Parsed<Family>& parsed,
                                                          NamespaceId id, bool& meets_over,
                                                          Tick now) {
  const typename Sessions<Family>::Look look(sessions_, &meets_over);
  const SessionRef ref =
      sessions_.find_live(Key::inside_flow(id, parsed.protocol, parsed.leg_from_inside()), now);
  if (ref == no_session) {
    if (sessions_.table().may_be_due(now)) meets_over = true;
    return establishment_.foretell_outbound(parsed, id, now);
  }
  OutboundForetold<Family> known;
  OutboundOutlook& told = known.outlook;
  const Record& session = sessions_[ref];
  told.is_known_namespace = true;
  told.session = sessions_.table().view(ref, now);
  told.source = ExternalSource::session;
  told.external = {session.outside.local, session.outside.local_port};
  told.remote = {session.outside.remote, session.outside.remote_port};
  return known;
}

template <class Family>
InboundOutlook Shard<Family>::foretell_inbound(const Parsed<Family>& parsed, NamespaceId begun_by,
                                               bool& meets_over, Tick now) {
  const typename Sessions<Family>::Look look(sessions_, &meets_over);
  const SessionRef ref = sessions_.find_live(outside_flow(parsed), now);
  if (ref == no_session) {
    if (sessions_.table().may_be_due(now)) meets_over = true;
    return establishment_.foretell_inbound(parsed, begun_by, now);
  }
  InboundOutlook told;
  told.has_mapping = true;
  told.session = sessions_.table().view(ref, now);
  told.namespace_id = told.session->namespace_id;
  told.internal = told.session->internal;
  return told;
}

template <class Family>
std::optional<SessionView> Shard<Family>::foretell_answer(const Parsed<Family>& parsed,
                                                          NamespaceId id, bool& meets_over,
                                                          Tick now) {
  const typename Sessions<Family>::Look look(sessions_, &meets_over);
  const SessionRef ref = sessions_.find_asked(id, parsed.protocol, parsed.leg_from_outside(), now);
  if (ref == no_session) return {};
  return sessions_.table().view(ref, now);
}

#define SWNAT_INSTANTIATE(Family)                                                               \
  template OutboundForetold<Family> Shard<Family>::foretell_outbound(const Parsed<Family>&,     \
                                                                     NamespaceId, bool&, Tick); \
  template InboundOutlook Shard<Family>::foretell_inbound(const Parsed<Family>&, NamespaceId,   \
                                                          bool&, Tick);                         \
  template std::optional<SessionView> Shard<Family>::foretell_answer(const Parsed<Family>&,     \
                                                                     NamespaceId, bool&, Tick);
SWNAT_INSTANTIATE(Ipv4)
SWNAT_INSTANTIATE(Ipv6)
#undef SWNAT_INSTANTIATE

}  // namespace swnat
