// Theory of operation
//
// Each end's acknowledgments tell what it expects next and how much it would take. A reset or FIN
// counts only when its receiver would believe it: within that window (RFC 793 section 3.4; RFC 5961
// section 3.2 is stricter, and a reset that its receiver challenges is followed by traffic, which
// reopens the session). So nobody who guesses endpoints alone can end a session.
//
//   opening --other side's SYN--> established --FIN--> half-closed --other FIN--> closing
//   any of them --reset in window--> reset --any further segment--> established
//   closing or reset --SYN from inside--> opening
//   closing or reset --SYN with ACK from inside--> established
//
// A SYN from outside alone reopens nothing, for anybody can send one in a remote's name: its
// receiver's answer does (RFC 6191: an old connection may give way to a new one).
#include "engine/tcp_state.h"

#include <algorithm>
#include <utility>

namespace swnat {
namespace {

constexpr std::uint8_t option_end = 0;
constexpr std::uint8_t option_no_operation = 1;
constexpr std::uint8_t option_window_scale = 3;

std::uint8_t read_window_scale(const std::uint8_t* at, const std::uint8_t* end) {
  while (at < end && *at != option_end) {
    if (*at == option_no_operation) {
      ++at;
      continue;
    }
    if (end - at < 2 || at[1] < 2 || end - at < at[1]) break;
    if (at[0] == option_window_scale && at[1] == 3) return std::min(at[2], tcp_scale_max);
    at += at[1];
  }
  return 0;
}

bool has(const TcpSegment& segment, std::uint8_t flag) {
  return (segment.flags & flag) != 0;
}

// Whether a segment that ends at `sequence` would be taken by its receiver now.
bool in_window(const TcpReceiver& receiver, std::uint32_t sequence) {
  const std::uint32_t window = std::max(std::uint32_t{receiver.window} << receiver.scale, 1u);
  return receiver.known && sequence - receiver.next <= window;
}

// Whether it has acknowledged the other end's FIN.
bool has_all(const TcpReceiver& receiver) {
  return static_cast<std::int32_t>(receiver.next - receiver.fin_end) >= 0;
}

// A connection that only one SYN has been seen of may be refused by a reset that acknowledges it.
bool reset_counts(SessionState state, const TcpReceiver& receiver, const TcpReceiver& sender,
                  const TcpSegment& segment, TcpSender from) {
  const bool answers_syn = (state == SessionState::tcp_syn_internal && from == TcpSender::remote) ||
                           (state == SessionState::tcp_syn_remote && from == TcpSender::internal);
  if (answers_syn) {
    return has(segment, tcp_flag::ack) && sender.known && segment.acknowledgment == sender.next;
  }
  return in_window(receiver, segment.sequence);
}

SessionState after_syn(SessionState state, TcpSender from) {
  const bool other_opened =
      (state == SessionState::tcp_syn_internal && from == TcpSender::remote) ||
      (state == SessionState::tcp_syn_remote && from == TcpSender::internal);
  return other_opened ? SessionState::tcp_established : state;
}

SessionState after_fin(SessionState state, TcpSender from) {
  const bool internal = from == TcpSender::internal;
  switch (state) {
    case SessionState::tcp_syn_internal:
    case SessionState::tcp_syn_remote:
    case SessionState::tcp_established:
      return internal ? SessionState::tcp_fin_internal : SessionState::tcp_fin_remote;
    case SessionState::tcp_fin_internal:
      return internal ? state : SessionState::tcp_closing;
    case SessionState::tcp_fin_remote:
      return internal ? SessionState::tcp_closing : state;
    default:
      return state;
  }
}

// A SYN when the connection is over.
TcpEffect reopen(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  if (sender == TcpSender::remote) {
    // Where nothing of the old connection can come any more, for the answer.
    if (connection.state == SessionState::tcp_closing) connection.remote_receiver.scale = syn.scale;
    return TcpEffect::none;
  }
  const std::uint8_t remote_scale = connection.remote_receiver.scale;
  open(connection, syn, sender);
  if (!has(syn, tcp_flag::ack)) return TcpEffect::refresh;
  connection.state = SessionState::tcp_established;
  connection.remote_receiver.scale = remote_scale;
  learn(connection.internal_receiver, syn);
  return TcpEffect::refresh;
}

}  // namespace

TcpSegment read_tcp_segment(const std::uint8_t* segment, std::uint16_t size) {
  const std::size_t header_size = std::size_t{segment[12]} >> 4 << 2;
  TcpSegment read = read_tcp_header(segment);
  read.payload_size = static_cast<std::uint32_t>(size - header_size);
  if ((read.flags & tcp_flag::syn) != 0) {
    read.scale = read_window_scale(segment + tcp_header_min, segment + header_size);
  }
  return read;
}

void open(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  const bool internal = sender == TcpSender::internal;
  connection.state = internal ? SessionState::tcp_syn_internal : SessionState::tcp_syn_remote;
  TcpReceiver& own = internal ? connection.internal_receiver : connection.remote_receiver;
  TcpReceiver& other = internal ? connection.remote_receiver : connection.internal_receiver;
  own = {.window = syn.window, .scale = syn.scale};
  // Whoever answers this SYN will expect what follows it.
  other = {.next = syn.sequence + 1, .known = true};
}

TcpEffect advance(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  SessionState& state = connection.state;
  const bool internal = sender == TcpSender::internal;
  TcpReceiver& own = internal ? connection.internal_receiver : connection.remote_receiver;
  TcpReceiver& other = internal ? connection.remote_receiver : connection.internal_receiver;

  if (has(segment, tcp_flag::rst)) {
    if (!reset_counts(state, other, own, segment, sender)) return TcpEffect::none;
    state = SessionState::tcp_reset;
    return TcpEffect::closed;
  }
  const bool over = state == SessionState::tcp_closing || state == SessionState::tcp_reset;
  if (has(segment, tcp_flag::syn)) {
    if (over) return reopen(connection, segment, sender);
    state = after_syn(state, sender);
  }
  const std::uint32_t end = segment.sequence + segment.payload_size;
  const bool is_fin = has(segment, tcp_flag::fin);
  if (is_fin && !in_window(other, end)) return TcpEffect::none;
  if (is_far(own, other, segment)) return TcpEffect::refresh;
  if (state == SessionState::tcp_reset) state = SessionState::tcp_established;
  learn(own, segment);
  if (is_fin) {
    const SessionState before = std::exchange(state, after_fin(state, sender));
    if (state != before) other.fin_end = end + 1;
  }
  const bool is_over = state == SessionState::tcp_closing && has_all(own) && has_all(other);
  return is_over ? TcpEffect::closed : TcpEffect::refresh;
}

}  // namespace swnat
