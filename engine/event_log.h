// What one shard tells its listener, if there is one: events made of session records and packets.
// Where nobody listens there is no memory, and wants() is all that it costs.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "engine/event.h"
#include "engine/event_ring.h"
#include "engine/family.h"
#include "engine/session.h"

namespace swnat {

template <class Family>
class EventLog {
 public:
  using End = Endpoint<typename Family::Address>;

  // Whether any, or this, is listened for.
  bool is_heard() const { return !kinds_.empty(); }
  bool is_heard(EventKind kind) const { return kinds_.contains(kind); }

  // Tells these kinds from now on; none without a ring.
  void listen(EventKinds kinds) { kinds_ = kinds; }
  // Where it tells them. Gives back the former, with what was not read.
  std::unique_ptr<EventRing> swap_ring(std::unique_ptr<EventRing> ring) {
    return std::exchange(ring_, std::move(ring));
  }
  // As Engine::take_events().
  std::size_t take(std::span<Event> out, std::chrono::milliseconds now);

  // What a session is to its mapping: one of several, the first or the last one, or the only one
  // that it can have: with address-and-port-dependent mapping, and without ports.
  enum class Part : std::uint8_t { one_of_several, first_or_last, only };

  // These tell what is heard of it.
  void made(const Session<Family>& session, Part part, Tick now);
  void ended(const Session<Family>& session, const TwoWayTraffic& traffic, Part part,
             EndCause cause, Tick now);
  // `inside`: as the internal end would know the session. `external`: if the packet came to it.
  void refused(Reason reason, NamespaceId id, std::uint8_t protocol, const Leg<Family>& inside,
               const std::optional<End>& external, Tick now);

 private:
  void tell(EventKind kind, Event event);
  void tell_mapping(EventKind kind, Event event, Part part);

  EventKinds kinds_;
  std::unique_ptr<EventRing> ring_;
};

extern template class EventLog<Ipv4>;
extern template class EventLog<Ipv6>;

}  // namespace swnat
