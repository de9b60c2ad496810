// How TCP segments move a session from state to state (RFC 7857 section 2, RFC 5382 REQ-2 and
// REQ-5).
#pragma once

#include <cstdint>

#include "engine/session.h"

namespace swnat {

struct TcpSegment {
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  std::uint32_t payload_size = 0;
  std::uint16_t window = 0;
  std::uint8_t flags = 0;
  std::uint8_t scale = 0;  // from the window scale option of a SYN, else 0
};

// `segment` is at least a whole TCP header, options included, with `size` bytes up to the payload's
// end.
TcpSegment read_tcp_segment(const std::uint8_t* segment, std::uint16_t size);

enum class TcpSender : std::uint8_t { internal, remote };

// What a segment means for its session, beside being translated.
enum class TcpEffect : std::uint8_t {
  refresh,  // traffic of the connection: the session is active
  none,     // a reset or FIN outside the window: it changes and refreshes nothing
  closed,   // the connection is over: both FINs are acknowledged, or a reset was in window
};

// The receivers are what each end expects; both are brought up to date.
struct TcpConnection {
  SessionState& state;
  TcpReceiver& internal_receiver;
  TcpReceiver& remote_receiver;
};

// A connection that `sender`'s SYN opens.
void open(TcpConnection connection, const TcpSegment& syn, TcpSender sender);

TcpEffect advance(TcpConnection connection, const TcpSegment& segment, TcpSender sender);

}  // namespace swnat
