// Theory of operation
//
// Each end's acknowledgments tell what it expects next and how much it would take. A reset or FIN
// counts only when its receiver would believe it: within that window (RFC 9293 section 3.10.7.4;
// RFC 5961 section 3.2 is stricter, and a reset that its receiver challenges is followed by
// traffic, which reopens the session). So nobody who guesses endpoints alone can end a session.
//
//   opening --other side's SYN--> established --FIN--> half-closed --other FIN--> closing
//   any of them --reset in window--> reset --any further segment--> established
//   closing or reset --SYN from inside--> opening
//   closing or reset --SYN with ACK from inside--> established
//
// A SYN from outside alone reopens nothing, for anybody can send one in a remote's name: its
// receiver's answer does (RFC 6191: an old connection may give way to a new one).
//
// Claims
//
// A segment that does not fit what is known may be a stranger's, or the first that is seen of
// something new: a second connection between the same endpoints, whose SYN has another number, or
// the same one after a time in which its packets took another way. It changes nothing, but the
// session remembers it as a claim, one at a time, and the other end decides (RFC 9293 section
// 3.10.7.4: a SYN within a connection is challenged by whoever still has it):
//
//   SYN --SYN that acknowledges exactly it--> established: the new connection
//       --reset that acknowledges exactly it--> reset: there is none any more
//   data or FIN --the other end's segment has numbers that agree with both of its--> the windows
//       are where both say; the FIN counts
//
// Whatever else the other end sends lets the claim be. So a stranger would have to guess the number
// of a segment that it does not see, as for any reset. Whoever is challenged resets the old
// connection with a number from its window, which then is over as usual.
//
// The numbers of a claim lie where those of FINs will: what one sends is what the other would then
// expect. The receiver of a FIN needs that place itself, but its number does not move any more; and
// whenever the state changes there is no claim any more.
#include "engine/tcp_state.h"

#include <algorithm>

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
  return no_tcp_scale;
}

bool has(const TcpSegment& segment, std::uint8_t flag) {
  return (segment.flags & flag) != 0;
}

// The two ends as a segment sees them: what its sender expects, and what its receiver does.
struct Sides {
  TcpReceiver& own;
  TcpReceiver& other;
  std::uint32_t& own_aside;
  std::uint32_t& other_aside;

  Sides(TcpConnection connection, TcpSender sender)
      : own(sender == TcpSender::internal ? connection.internal_receiver
                                          : connection.remote_receiver),
        other(sender == TcpSender::internal ? connection.remote_receiver
                                            : connection.internal_receiver),
        own_aside(sender == TcpSender::internal ? connection.aside.internal
                                                : connection.aside.remote),
        other_aside(sender == TcpSender::internal ? connection.aside.remote
                                                  : connection.aside.internal) {}
};

TcpSender other_than(TcpSender sender) {
  return sender == TcpSender::internal ? TcpSender::remote : TcpSender::internal;
}

void change(TcpConnection connection, SessionState state) {
  if (connection.state == state) return;
  connection.state = state;
  connection.claim = {};
}

// Whether a segment that ends at `sequence` would be taken by its receiver now. The window of a SYN
// is never scaled (RFC 7323 section 2.2).
bool in_window(const TcpReceiver& receiver, std::uint32_t sequence) {
  const int scale = receiver.window_is_scaled ? receiver.scale : 0;
  const std::uint32_t window = std::max(std::uint32_t{receiver.window} << scale, 1u);
  return receiver.known && sequence - receiver.next <= window;
}

// Whether it has acknowledged the other end's FIN.
bool has_all(const TcpReceiver& receiver, std::uint32_t aside) {
  return static_cast<std::int32_t>(receiver.next - aside) >= 0;
}

bool is_opening(SessionState state) {
  return state == SessionState::tcp_syn_internal || state == SessionState::tcp_syn_remote;
}

bool is_opened_by(SessionState state, TcpSender end) {
  return state == (end == TcpSender::internal ? SessionState::tcp_syn_internal
                                              : SessionState::tcp_syn_remote);
}

// RFC 7323 section 1.3: windows are scaled if both SYNs offer it.
void settle_scales(TcpConnection connection) {
  TcpReceiver& a = connection.internal_receiver;
  TcpReceiver& b = connection.remote_receiver;
  const bool both = a.offer != no_tcp_scale && b.offer != no_tcp_scale;
  a.scale = both ? a.offer : 0;
  b.scale = both ? b.offer : 0;
}

// --- claims

bool is_claimed_by(TcpConnection connection, TcpSender end) {
  return connection.claim.is_made && connection.claim.is_internal == (end == TcpSender::internal);
}

// Where the number of a claimed SYN lies: not in the place that a FIN needs.
std::uint32_t& claimed_next(TcpConnection connection) {
  return connection.state == SessionState::tcp_fin_remote ? connection.aside.remote
                                                          : connection.aside.internal;
}

void claim_syn(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  claimed_next(connection) = syn.sequence + 1;
  connection.claim = {
      .is_made = true, .is_internal = sender == TcpSender::internal, .is_syn = true};
  connection.claim.offer = syn.scale & 0xf;
}

bool acknowledges_claim(TcpConnection connection, const TcpSegment& answer, TcpSender sender) {
  return !is_over(connection.state) && is_claimed_by(connection, other_than(sender)) &&
         connection.claim.is_syn && has(answer, tcp_flag::ack) &&
         answer.acknowledgment == claimed_next(connection);
}

bool is_near_aside(const TcpReceiver& receiver, std::uint32_t aside, std::uint32_t number) {
  return is_near({.next = aside, .scale = receiver.scale, .known = true}, number);
}

// One that is half-closed or over has fewer numbers to claim: TcpAside has that of a FIN.
bool has_fin(SessionState state, bool internal_receiver) {
  return state == SessionState::tcp_closing ||
         state ==
             (internal_receiver ? SessionState::tcp_fin_remote : SessionState::tcp_fin_internal);
}

void claim(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  if (!has(segment, tcp_flag::ack)) return;
  const bool is_fin = has(segment, tcp_flag::fin);
  const bool internal = sender == TcpSender::internal;
  const Sides sides(connection, sender);
  const std::uint32_t end = segment.sequence + segment.payload_size + (is_fin ? 1 : 0);
  const bool own_has_fin = has_fin(connection.state, internal);
  const bool other_has_fin = has_fin(connection.state, !internal);
  if (own_has_fin &&
      (other_has_fin || !is_near_aside(sides.own, sides.own_aside, segment.acknowledgment))) {
    return;
  }
  if (other_has_fin && !is_near_aside(sides.other, sides.other_aside, end)) return;
  if (!own_has_fin) sides.own_aside = segment.acknowledgment;
  if (!other_has_fin) sides.other_aside = end;
  connection.claim = {.is_made = true, .is_internal = internal, .is_fin = is_fin};
}

bool agrees_with_claim(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  const Sides sides(connection, sender);
  return is_claimed_by(connection, other_than(sender)) && !connection.claim.is_syn &&
         has(segment, tcp_flag::ack) &&
         is_near_aside(sides.own, sides.own_aside, segment.acknowledgment) &&
         is_near_aside(sides.other, sides.other_aside, segment.sequence);
}

// --- resets

// The number after a SYN is known, and how much data came with it.
bool acknowledges_syn(const TcpReceiver& receiver, const TcpSegment& answer) {
  return has(answer, tcp_flag::ack) && receiver.known &&
         answer.acknowledgment - receiver.next <= receiver.window;
}

// A connection that only SYNs of one end have been seen of may be refused by a reset that
// acknowledges one.
bool reset_counts(TcpConnection connection, const TcpSegment& reset, TcpSender sender) {
  const Sides sides(connection, sender);
  if (acknowledges_claim(connection, reset, sender)) return true;
  if (is_opened_by(connection.state, other_than(sender))) return acknowledges_syn(sides.own, reset);
  return in_window(sides.other, reset.sequence);
}

// --- SYNs

// `sender`'s SYN answers the other end's, whose number and offer are known.
void take_answer(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  const Sides sides(connection, sender);
  sides.own.offer = syn.scale & 0xf;
  sides.other.next = syn.sequence + 1;
  sides.other.known = true;
  settle_scales(connection);
  learn(sides.own, syn);
  sides.own.window_is_scaled = false;
}

// A SYN when the connection is over.
TcpEffect reopen(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  const bool is_answer = has(syn, tcp_flag::ack);
  if (sender == TcpSender::remote) {
    // For the answer, which need not be compared with it: nobody outside can have made that.
    if (is_answer) return TcpEffect::none;
    connection.claim = {.is_made = true, .is_syn = true};
    connection.claim.offer = syn.scale & 0xf;
    return TcpEffect::none;
  }
  if (!is_answer) {
    open(connection, syn, sender);
    return TcpEffect::refresh;
  }
  connection.remote_receiver = {.offer = connection.claim.offer};
  connection.internal_receiver = {};
  take_answer(connection, syn, sender);
  change(connection, SessionState::tcp_established);
  return TcpEffect::refresh;
}

TcpEffect take_first_syn(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  const Sides sides(connection, sender);
  if (is_opened_by(connection.state, other_than(sender))) {  // both at once
    sides.own.offer = syn.scale & 0xf;
    settle_scales(connection);
    change(connection, SessionState::tcp_established);
    return TcpEffect::refresh;
  }
  const bool is_again = sides.other.known && syn.sequence + 1 == sides.other.next;
  if (is_again) return TcpEffect::refresh;
  claim_syn(connection, syn, sender);
  // Nobody keeps a session with SYNs that are not answered.
  return sender == TcpSender::internal ? TcpEffect::refresh : TcpEffect::none;
}

bool answers_this_connection(TcpConnection connection, const TcpSegment& answer, TcpSender sender) {
  const Sides sides(connection, sender);
  if (is_opening(connection.state)) {
    return is_opened_by(connection.state, other_than(sender)) &&
           acknowledges_syn(sides.own, answer);
  }
  const bool is_expected = !sides.own.known || answer.acknowledgment == sides.own.next;
  return is_expected && is_near(sides.other, answer.sequence);
}

TcpEffect take_answering_syn(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  const Sides sides(connection, sender);
  if (answers_this_connection(connection, syn, sender)) {
    const bool is_first = is_opening(connection.state);
    if (is_first || !sides.own.known) take_answer(connection, syn, sender);
    if (is_first) change(connection, SessionState::tcp_established);
  } else if (acknowledges_claim(connection, syn, sender)) {
    sides.own = {.next = syn.acknowledgment, .known = true};
    sides.other = {.offer = connection.claim.offer};
    take_answer(connection, syn, sender);
    connection.claim = {};
    change(connection, SessionState::tcp_established);
  }
  return TcpEffect::refresh;
}

// --- all others

SessionState after_fin(SessionState state, TcpSender from) {
  const bool internal = from == TcpSender::internal;
  switch (state) {
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

// The windows are where the other end claims and this one agrees.
void accept_claim(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  const Sides sides(connection, sender);
  const bool was_fin = connection.claim.is_fin;
  if (!has_fin(connection.state, sender != TcpSender::internal)) {
    sides.other.next = sides.other_aside;
    sides.other.known = true;
  }
  sides.own.next = segment.acknowledgment;
  sides.own.known = true;
  connection.claim = {};
  if (is_opening(connection.state)) change(connection, SessionState::tcp_established);
  if (connection.state == SessionState::tcp_reset)
    change(connection, SessionState::tcp_established);
  if (was_fin) change(connection, after_fin(connection.state, other_than(sender)));
}

TcpEffect take_data(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  const Sides sides(connection, sender);
  const std::uint32_t end = segment.sequence + segment.payload_size;
  const bool is_fin = has(segment, tcp_flag::fin);
  if (is_far(sides.own, sides.other, segment)) {
    if (!agrees_with_claim(connection, segment, sender)) {
      claim(connection, segment, sender);
      return is_fin ? TcpEffect::none : TcpEffect::refresh;
    }
    accept_claim(connection, segment, sender);
  }
  if (is_fin && !in_window(sides.other, end)) return TcpEffect::none;
  if (is_opening(connection.state)) return TcpEffect::refresh;
  if (connection.state == SessionState::tcp_reset)
    change(connection, SessionState::tcp_established);
  learn(sides.own, segment);
  if (is_fin) {
    const SessionState after = after_fin(connection.state, sender);
    if (after != connection.state) sides.other_aside = end + 1;
    change(connection, after);
  }
  const bool is_acknowledged = connection.state == SessionState::tcp_closing &&
                               has_all(sides.own, sides.own_aside) &&
                               has_all(sides.other, sides.other_aside);
  return is_acknowledged ? TcpEffect::closed : TcpEffect::refresh;
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
  const Sides sides(connection, sender);
  connection.state =
      sender == TcpSender::internal ? SessionState::tcp_syn_internal : SessionState::tcp_syn_remote;
  connection.claim = {};
  sides.own = {.window = syn.window};
  sides.own.offer = syn.scale & 0xf;
  // Whoever answers this SYN will expect what follows it, or its data.
  const auto data = static_cast<std::uint16_t>(std::min(syn.payload_size, 0xffffu));
  sides.other = {.next = syn.sequence + 1, .window = data, .known = true};
}

TcpEffect advance(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  if (has(segment, tcp_flag::rst)) {
    if (!reset_counts(connection, segment, sender)) return TcpEffect::none;
    change(connection, SessionState::tcp_reset);
    return TcpEffect::closed;
  }
  if (!has(segment, tcp_flag::syn)) return take_data(connection, segment, sender);
  if (is_over(connection.state)) return reopen(connection, segment, sender);
  return has(segment, tcp_flag::ack) ? take_answering_syn(connection, segment, sender)
                                     : take_first_syn(connection, segment, sender);
}

}  // namespace swnat
