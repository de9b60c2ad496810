// The session record: all that the engine must remember of a session, and nothing that it can
// derive.
//
// A record lies in the slab and holds no pointers. Its hot part is one cache line for IPv4: both
// legs (each is what the other direction is rewritten to), the checksum deltas, the state and the
// time of the last packet, so that an established packet touches this line and one line of the
// index.
//
// `state` commits a record: it is written last when a session is made and first when it is freed,
// so that whoever finds the memory later can tell whole records from others.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "engine/base/ref.h"
#include "engine/base/tick.h"
#include "engine/session/traffic_counters.h"
#include "engine/wire/checksum.h"
#include "engine/wire/headers.h"
#include "engine/wire/leg.h"
#include "swnat/packet.h"

namespace swnat {

// Place of a record in its shard's slab.
using SessionRef = Ref;
inline constexpr SessionRef no_session = no_ref;

// X(name, text). Without a connection, a session is asked until the end that did not begin it has
// sent something; the first two are of all protocols but ICMP. TCP follows RFC 7857 section 2: a
// session is established once the remote has acknowledged a SYN from inside, and closing once both
// sent a FIN; one FIN alone is a half-closed connection, which lives on.
#define SWNAT_SESSION_STATES(X)      \
  X(free, "free")                    \
  X(asked_by_remote, "active")       \
  X(asked_by_internal, "active")     \
  X(echo_asked, "active")            \
  X(udp, "active")                   \
  X(icmp, "active")                  \
  X(portless, "active")              \
  X(tcp_syn_internal, "opening")     \
  X(tcp_syn_remote, "opening")       \
  X(tcp_established, "established")  \
  X(tcp_fin_internal, "half-closed") \
  X(tcp_fin_remote, "half-closed")   \
  X(tcp_closing, "closing")          \
  X(tcp_reset, "reset")

enum class SessionState : std::uint8_t {
#define X(name, text) name,
  SWNAT_SESSION_STATES(X)
#undef X
};

inline constexpr std::string_view session_state_texts[] = {
#define X(name, text) text,
    SWNAT_SESSION_STATES(X)
#undef X
};
inline constexpr std::size_t session_state_count = std::size(session_state_texts);

constexpr std::string_view text_of(SessionState state) {
  return session_state_texts[static_cast<std::size_t>(state)];
}

// Both ends are known to be done with the connection, and with the external port.
constexpr bool is_over(SessionState state) {
  return state == SessionState::tcp_closing || state == SessionState::tcp_reset;
}

constexpr bool is_asked(SessionState state) {
  return state == SessionState::asked_by_remote || state == SessionState::asked_by_internal ||
         state == SessionState::echo_asked;
}

// Whose sessions a namespace gives up first when it is at its limit.
enum class Rank : std::uint8_t {
  over,        // both ends closed it, or it was reset
  unanswered,  // only one end ever sent anything, or the remote never proved to be there
  active,
};
inline constexpr std::uint32_t rank_count = 3;

struct Standing {
  Rank rank = Rank::over;
  Tick last_active = 0;

  bool goes_before(const Standing& other) const {
    return rank != other.rank ? rank < other.rank : elapsed(last_active, other.last_active) > 0;
  }
  friend bool operator==(const Standing&, const Standing&) = default;
};

// A session of a namespace that may have to go, as it stood.
struct Candidate {
  SessionRef ref = no_session;
  Standing standing;
  bool leaves_enough = true;  // for whom it ends
};

constexpr Rank rank_of(SessionState state) {
  if (is_over(state)) return Rank::over;
  const bool is_opening =
      state == SessionState::tcp_syn_internal || state == SessionState::tcp_syn_remote;
  return is_opening || is_asked(state) ? Rank::unanswered : Rank::active;
}

// What a session of a protocol without connections is when it begins, and once both ends have sent
// something.
template <class Family>
constexpr SessionState first_state(std::uint8_t protocol, bool is_from_outside) {
  if (protocol == Family::icmp_protocol) return SessionState::echo_asked;
  return is_from_outside ? SessionState::asked_by_remote : SessionState::asked_by_internal;
}
template <class Family>
constexpr SessionState answered_state(std::uint8_t protocol) {
  if (protocol == protocol::udp) return SessionState::udp;
  return protocol == Family::icmp_protocol ? SessionState::icmp : SessionState::portless;
}

// What one end of a TCP connection last said that it expects from the other.
struct TcpReceiver {
  std::uint32_t next = 0;    // the next sequence number
  std::uint16_t window = 0;  // as in its header; unscaled
  std::uint8_t scale = 0;    // of the window (RFC 7323), 0 to 14; 0 unless both ends offer one
  bool known : 1 = false;    // whether anything is known of what it expects
  bool window_is_scaled : 1 = false;
  bool saw_fin : 1 = false;  // of the other end
  std::uint8_t : 1;
  std::uint8_t offer : 4 = no_tcp_scale;  // the scale in its SYN
};
static_assert(sizeof(TcpReceiver) == 8);

// What each end will expect after the other's FIN, if that was seen; before, the numbers of the
// connection's claim. Few segments of a connection need them, so they lie apart from its record
// (session_memory.h), and mean something only where its state or its claim says so.
struct TcpAside {
  std::uint32_t internal;
  std::uint32_t remote;
};

// A segment that does not belong to the connection as it is known, until the other end says what is
// right (tcp_state.cpp).
struct TcpClaim {
  bool is_made : 1 = false;
  bool is_internal : 1 = false;  // by the internal end
  bool is_syn : 1 = false;
  bool is_fin : 1 = false;
  std::uint8_t offer : 4 = no_tcp_scale;  // the scale in a SYN
};
static_assert(sizeof(TcpClaim) == 1);

template <class Family>
struct alignas(64) Session {
  Leg<Family> inside;
  Leg<Family> outside;
  NamespaceId namespace_id = 0;
  Tick last_active = 0;
  // What the sums grow by on the way out: of the addresses alone, and of all that the transport
  // covers.
  ChecksumDelta address_delta = 0;
  ChecksumDelta transport_delta = 0;
  TcpReceiver internal_receiver;
  TcpReceiver remote_receiver;
  RecentTraffic recent_traffic[2] = {};  // outbound, inbound
  std::uint8_t protocol = 0;
  SessionState state = SessionState::free;
  TcpClaim claim;
  // The remote endpoint is in the namespace itself: a redirect that stays inside.
  bool remote_is_inside : 1 = false;
  // The external endpoint is one of Policy::forwards, and not taken from the free ports.
  bool is_forward : 1 = false;
  // The first packet came from outside.
  bool is_from_outside : 1 = false;

  Standing standing() const { return {rank_of(state), last_active}; }
  // Whether its mapping has a port that is its namespace's by choice, which port_limit counts.
  bool has_chosen_port() const { return !is_forward && !protocol::is_portless(protocol); }
  // The namespace that the remote endpoint is in, 0 for the outside.
  NamespaceId realm() const { return remote_is_inside ? namespace_id : 0; }
  // Whether strangers may come in because of it: not by a connection that one of them began, until
  // it has proved to be there, nor once that is over, or ever new ones could keep the mapping (RFC
  // 4787 REQ-6).
  bool keeps_mapping() const {
    return !is_from_outside || is_forward ||
           (state != SessionState::tcp_syn_remote && !is_over(state));
  }
};

}  // namespace swnat
