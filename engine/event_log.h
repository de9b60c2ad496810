// What one shard tells its listener, if there is one: events made of session records and packets.
#pragma once

#include <optional>

#include "engine/events/event_outlet.h"
#include "engine/session/session.h"
#include "engine/wire/family.h"

namespace swnat {

template <class Family>
class EventLog : public EventOutlet {
 public:
  using End = Endpoint<typename Family::Address>;

  // What a session is to its mapping: one of several, the first or the last one, or the only one
  // that it can have: with address-and-port-dependent mapping, and without ports.
  enum class Part : std::uint8_t { one_of_several, first_or_last, only };

  // These tell what is heard of it.
  void made(const Session<Family>& session, Part part, Tick now);
  void ended(const Session<Family>& session, const TwoWayTraffic& traffic, Tick age, Part part,
             EndCause cause, Tick now);
  // `inside`: as the internal end would know the session. `external`: if the packet came to it.
  void refused(Reason reason, NamespaceId id, std::uint8_t protocol, const Leg<Family>& inside,
               const std::optional<End>& external, Tick now);

 private:
  void tell_mapping(EventKind kind, Event event, Part part);
};

extern template class EventLog<Ipv4>;
extern template class EventLog<Ipv6>;

}  // namespace swnat
