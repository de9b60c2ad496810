// How TCP segments move a session from state to state (RFC 7857 section 2, RFC 5382 REQ-2 and
// REQ-5).
#pragma once

#include <cstdint>

#include "engine/session/session.h"
#include "engine/wire/headers.h"
#include "engine/wire/tcp_segment.h"

namespace swnat {

enum class TcpSender : std::uint8_t { internal, remote };

// What a segment means for its session, beside being translated.
enum class TcpEffect : std::uint8_t {
  refresh,  // traffic of the connection: the session is active
  none,     // it may be a stranger's, or is no segment at all: it refreshes nothing
  closed,   // the connection is over: both FINs are acknowledged, or a reset was in window
};

// The receivers are what each end expects; both are brought up to date.
struct TcpConnection {
  SessionState& state;
  TcpReceiver& internal_receiver;
  TcpReceiver& remote_receiver;
  TcpClaim& claim;
  TcpAside& aside;
};

// A connection that `sender`'s SYN opens.
void open(TcpConnection connection, const TcpSegment& syn, TcpSender sender);

TcpEffect advance(TcpConnection connection, const TcpSegment& segment, TcpSender sender);

// The pieces that a segment of an established connection meets, inline for the batch's loop.

// Whether a number is as near to the next one as data of the connection, late or early, can be: no
// window of the receiver is wider.
inline bool is_near(const TcpReceiver& receiver, std::uint32_t number) {
  const std::uint32_t reach = std::uint32_t{0xffff} << receiver.scale;
  return !receiver.known || number - receiver.next + reach <= 2 * reach;
}

// Whether it would move the windows that the ends' own resets and FINs are measured by to where
// nothing of the connection is known to be. `own` is its sender, `other` its receiver; it has an
// acknowledgment.
inline bool is_far(const TcpReceiver& own, const TcpReceiver& other, const TcpSegment& segment) {
  return !is_near(other, segment.sequence) || !is_near(own, segment.acknowledgment);
}

// What the sender of a segment with an acknowledgment says that it expects; older segments that
// arrive late say nothing new.
inline void learn(TcpReceiver& receiver, const TcpSegment& segment) {
  const bool newer = static_cast<std::int32_t>(segment.acknowledgment - receiver.next) >= 0;
  if (receiver.known && !newer) return;
  receiver.next = segment.acknowledgment;
  receiver.window = segment.window;
  receiver.known = true;
  receiver.window_is_scaled = true;
}

// Takes a segment that changes no state, of which `header` is the beginning. False, and nothing is
// changed, if it may be another.
inline bool follow(TcpConnection connection, const std::uint8_t* header, TcpSender sender) {
  constexpr std::uint8_t deciding = tcp_flag::syn | tcp_flag::fin | tcp_flag::rst | tcp_flag::ack;
  if (connection.state != SessionState::tcp_established ||
      (header[13] & deciding) != tcp_flag::ack) {
    return false;
  }
  const bool internal = sender == TcpSender::internal;
  TcpReceiver& own = internal ? connection.internal_receiver : connection.remote_receiver;
  TcpReceiver& other = internal ? connection.remote_receiver : connection.internal_receiver;
  const TcpSegment segment = read_tcp_header(header);
  if (is_far(own, other, segment)) return false;
  learn(own, segment);
  return true;
}

}  // namespace swnat
