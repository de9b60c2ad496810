// What becomes of mappings, sessions and port blocks, as it is told to whoever listens
// (Engine::listen).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <type_traits>

#include "swnat/address.h"
#include "swnat/packet.h"
#include "swnat/reason.h"
#include "swnat/traffic.h"

namespace swnat {

// X(name). A mapping is made with its first session, and told before it; it ends with its last, and
// is told after it.
#define SWNAT_EVENT_KINDS(X)                                                           \
  X(mapping_made)                                                                      \
  X(mapping_ended)                                                                     \
  X(block_taken) /* of ports, by a namespace, or by all that have none of their own */ \
  X(block_given_up)                                                                    \
  X(session_made)                                                                      \
  X(session_ended)                                                                     \
  X(refused) /* a packet that could have made a session; is_refusal() has the why */   \
  X(lost)    /* events that found no room; always told, whatever is listened for */

enum class EventKind : std::uint8_t {
#define X(name) name,
  SWNAT_EVENT_KINDS(X)
#undef X
};

inline constexpr std::string_view event_kind_names[] = {
#define X(name) #name,
    SWNAT_EVENT_KINDS(X)
#undef X
};
inline constexpr std::size_t event_kind_count = std::size(event_kind_names);
constexpr std::string_view name_of(EventKind kind) {
  return event_kind_names[static_cast<std::size_t>(kind)];
}

// X(name). Why a session ended. A mapping ends for what ended its last session.
#define SWNAT_END_CAUSES(X)                                               \
  X(none)    /* it did not */                                             \
  X(expired) /* idle for the time of its state */                         \
  X(closed)  /* both ends closed the connection, and its time was over */ \
  X(reset)   /* one end reset the connection, and its time was over */    \
  X(evicted) /* its namespace, or forward, was at its session limit */    \
  X(policy)  /* a new policy would not have let it come about */          \
  X(flushed) /* Engine::end_sessions() */

enum class EndCause : std::uint8_t {
#define X(name) name,
  SWNAT_END_CAUSES(X)
#undef X
};

inline constexpr std::string_view end_cause_names[] = {
#define X(name) #name,
    SWNAT_END_CAUSES(X)
#undef X
};
inline constexpr std::size_t end_cause_count = std::size(end_cause_names);
constexpr std::string_view name_of(EndCause cause) {
  return end_cause_names[static_cast<std::size_t>(cause)];
}
using EndCounts = std::array<std::uint64_t, end_cause_count>;  // of sessions, by EndCause

// Whether a packet that is dropped for this reason is told as refused: a rule or a limit denied it
// a session that it could have had. What can make no session is only counted (Engine::counters), as
// are hairpins where these are switched off, and whatever passes: it may be somebody else's.
constexpr bool is_refusal(Reason reason) {
  switch (reason) {
    case Reason::dropped_by_rule:
    case Reason::session_limit:
    case Reason::port_limit:
    case Reason::table_full:
    case Reason::no_free_port:
    case Reason::remote_in_use:
      return true;
    default:
      return false;
  }
}

// Some kinds.
class EventKinds {
 public:
  constexpr EventKinds() = default;
  constexpr EventKinds(std::initializer_list<EventKind> kinds) {
    for (const EventKind kind : kinds) bits_ |= bit(kind);
  }
  static constexpr EventKinds all() {
    EventKinds kinds;
    kinds.bits_ = (1u << event_kind_count) - 1;
    return kinds;
  }

  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool contains(EventKind kind) const { return (bits_ & bit(kind)) != 0; }

  friend constexpr EventKinds operator|(EventKinds a, EventKinds b) {
    a.bits_ |= b.bits_;
    return a;
  }
  friend constexpr bool operator==(EventKinds, EventKinds) = default;

 private:
  static constexpr std::uint32_t bit(EventKind kind) { return 1u << static_cast<unsigned>(kind); }

  std::uint32_t bits_ = 0;
};
static_assert(event_kind_count < 32);

// Whether an event has this endpoint.
constexpr bool is_specified(const IpEndpoint& endpoint) {
  return endpoint != IpEndpoint{} && endpoint != IpEndpoint{Ipv6Address{}, 0};
}

// What does not belong to an event of its kind is as it is here.
struct Event {
  std::chrono::milliseconds time{0};  // on the clock that packets have theirs from
  EventKind kind = EventKind::lost;
  EndCause cause = EndCause::none;              // mapping_ended, session_ended
  Reason reason = Reason::translated_outbound;  // refused
  EventKind lost_kind = EventKind::lost;        // lost: of which kind they were
  std::uint8_t protocol = 0;                    // IP protocol number
  bool is_from_outside = false;  // the first packet came, or the refused one comes, from outside
  bool is_forward = false;  // made, ended: the external endpoint is a rule's (Policy::forwards)
  NamespaceId namespace_id = 0;
  // session_ended: how long it lived, as SessionView::age.
  std::chrono::duration<std::uint32_t, std::milli> age{0};
  std::uint64_t count = 0;  // lost: how many, since `time`; blocks: of how many ports
  IpEndpoint internal = {};
  // Of blocks with the first port. The unspecified address without a port if a packet was refused
  // on the way out: it has none.
  IpEndpoint external = {};
  TwoWayTraffic traffic = {};  // session_ended: all that the session translated
  // As SessionView has it; of a packet that was refused on the way out, where it was sent to,
  // redirected or not. Unspecified for mappings that sessions with several remotes may share.
  IpEndpoint remote = {};
};
static_assert(std::is_trivially_copyable_v<Event>);

}  // namespace swnat
