#include "engine/event_log.h"

namespace swnat {
namespace {

template <class Family>
Event event_of(const Session<Family>& session, Tick now) {
  using End = Endpoint<typename Family::Address>;
  return {.time = std::chrono::milliseconds(now),
          .protocol = session.protocol,
          .is_from_outside = session.is_from_outside,
          .is_forward = session.is_forward,
          .namespace_id = session.namespace_id,
          .internal = End{session.inside.local, session.inside.local_port},
          .external = End{session.outside.local, session.outside.local_port},
          .remote = End{session.outside.remote, session.outside.remote_port}};
}

}  // namespace

template <class Family>
void EventLog<Family>::tell_mapping(EventKind kind, Event event, Part part) {
  if (part == Part::one_of_several) return;
  if (part == Part::first_or_last) event.remote = End{};
  tell(kind, event);
}

template <class Family>
void EventLog<Family>::made(const Session<Family>& session, Part part, Tick now) {
  const Event event = event_of(session, now);
  tell_mapping(EventKind::mapping_made, event, part);
  tell(EventKind::session_made, event);
}

template <class Family>
void EventLog<Family>::ended(const Session<Family>& session, const TwoWayTraffic& traffic, Tick age,
                             Part part, EndCause cause, Tick now) {
  Event event = event_of(session, now);
  event.cause = cause;
  Event of_session = event;
  of_session.age = decltype(of_session.age)(age);
  of_session.traffic = traffic;
  tell(EventKind::session_ended, of_session);
  tell_mapping(EventKind::mapping_ended, event, part);
}

template <class Family>
void EventLog<Family>::refused(Reason reason, NamespaceId id, std::uint8_t protocol,
                               const Leg<Family>& inside, const std::optional<End>& external,
                               Tick now) {
  if (!is_refusal(reason)) return;
  tell(EventKind::refused, {.time = std::chrono::milliseconds(now),
                            .reason = reason,
                            .protocol = protocol,
                            .is_from_outside = external.has_value(),
                            .namespace_id = id,
                            .internal = End{inside.local, inside.local_port},
                            .external = external.value_or(End{}),
                            .remote = End{inside.remote, inside.remote_port}});
}

template class EventLog<Ipv4>;
template class EventLog<Ipv6>;

}  // namespace swnat
