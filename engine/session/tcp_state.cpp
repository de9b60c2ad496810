// Theory of operation
//
// Each end's acknowledgments tell what it expects next and how much it would take. A reset or FIN
// counts only when its receiver would believe it: within that window (RFC 9293 section 3.10.7.4;
// RFC 5961 section 3.2 is stricter, and a reset that its receiver challenges is followed by
// traffic, which reopens the session). So nobody who guesses endpoints alone can end a session.
//
//   opening --the remote acknowledges the SYN from inside--> established
//   established --FIN--> half-closed --other FIN--> closing
//   any but closing --reset in window--> reset
//   reset --segment in both windows--> where the FINs that were seen leave it
//   closing or reset --SYN from inside, or its answer to one from outside--> opening
//
// Anybody can send a SYN in a remote's name, and what it asks answers it: only who sees that answer
// can acknowledge its number. So a remote has to do that, whichever end began, and until then its
// segments keep no session: silent spoofed sources leave unanswered ones. A segment without
// acknowledgment that is neither SYN nor reset is nobody's (RFC 9293 section 3.10.7.4).
//
// Claims
//
// A segment that does not fit what is known may be a stranger's, or the first that is seen of
// something new: a second connection between the same endpoints, whose SYN has another number, or
// the same one after a time in which its packets took another way. It changes nothing, but the
// session remembers it as a claim, one at a time, and the other end decides (RFC 9293 section
// 3.10.7.4: a SYN within a connection is challenged by whoever still has it):
//
//   SYN from inside --segment that acknowledges exactly it--> established: the new connection
//   SYN from outside --SYN from inside that acknowledges exactly it--> opening: as if it had begun
//   either --reset that acknowledges exactly it--> reset: there is none any more
//   data or FIN --the other end's segment has numbers that agree with both of its--> the windows
//       are where both say; the FIN counts
//
// Whatever else the other end sends lets the claim be. So a stranger would have to guess the number
// of a segment that it does not see, as for any reset. Whoever is challenged resets the old
// connection with a number from its window, which then is over as usual.
//
// The inside is nobody's to forge, so what comes from outside replaces no claim of it. An answer
// from inside to a SYN that is not remembered is a claim itself.
//
// The numbers of a claim lie where those of FINs will: what one sends is what the other would then
// expect. The receiver of a FIN needs that place itself, but its number does not move any more; and
// whenever the state changes there is no claim any more. After both FINs there is no place left: of
// a SYN from outside it is then known only that there was one.
#include "engine/session/tcp_state.h"

#include <algorithm>
#include <atomic>

namespace swnat {
namespace {

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

bool are_known(TcpConnection connection) {
  return connection.internal_receiver.known && connection.remote_receiver.known;
}

// What an open connection is by the FINs that were seen.
SessionState open_state(TcpConnection connection) {
  const bool from_inside = connection.remote_receiver.saw_fin;
  const bool from_outside = connection.internal_receiver.saw_fin;
  if (from_inside && from_outside) return SessionState::tcp_closing;
  if (from_inside) return SessionState::tcp_fin_internal;
  return from_outside ? SessionState::tcp_fin_remote : SessionState::tcp_established;
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

bool may_claim(TcpConnection connection, TcpSender sender) {
  return sender == TcpSender::internal || !is_claimed_by(connection, TcpSender::internal);
}

// Where the number of a claimed SYN lies: not in the place that a FIN needs.
std::uint32_t& claimed_next(TcpConnection connection) {
  return connection.internal_receiver.saw_fin ? connection.aside.remote : connection.aside.internal;
}

void claim_syn(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  if (!may_claim(connection, sender)) return;
  if (connection.state != SessionState::tcp_closing) claimed_next(connection) = syn.sequence + 1;
  connection.claim = {
      .is_made = true, .is_internal = sender == TcpSender::internal, .is_syn = true};
  connection.claim.offer = syn.scale & 0xf;
}

bool acknowledges_claim(TcpConnection connection, const TcpSegment& answer, TcpSender sender) {
  return connection.state != SessionState::tcp_closing &&
         is_claimed_by(connection, other_than(sender)) && connection.claim.is_syn &&
         has(answer, tcp_flag::ack) && answer.acknowledgment == claimed_next(connection);
}

bool is_near_aside(const TcpReceiver& receiver, std::uint32_t aside, std::uint32_t number) {
  return is_near({.next = aside, .scale = receiver.scale, .known = true}, number);
}

// After a FIN there are fewer numbers to claim: TcpAside has that of the FIN.
void claim(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  if (!may_claim(connection, sender)) return;
  const bool is_fin = has(segment, tcp_flag::fin);
  const Sides sides(connection, sender);
  const std::uint32_t end = segment.sequence + segment.payload_size + (is_fin ? 1 : 0);
  if (sides.own.saw_fin &&
      (sides.other.saw_fin || !is_near_aside(sides.own, sides.own_aside, segment.acknowledgment))) {
    return;
  }
  if (sides.other.saw_fin && !is_near_aside(sides.other, sides.other_aside, end)) return;
  if (!sides.own.saw_fin) sides.own_aside = segment.acknowledgment;
  if (!sides.other.saw_fin) sides.other_aside = end;
  connection.claim = {
      .is_made = true, .is_internal = sender == TcpSender::internal, .is_fin = is_fin};
}

bool agrees_with_claim(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  const Sides sides(connection, sender);
  return is_claimed_by(connection, other_than(sender)) && !connection.claim.is_syn &&
         is_near_aside(sides.own, sides.own_aside, segment.acknowledgment) &&
         is_near_aside(sides.other, sides.other_aside, segment.sequence);
}

// --- resets

// The number after a SYN is known, and how much was sent behind it.
bool acknowledges_syn(const TcpReceiver& receiver, const TcpSegment& answer) {
  return has(answer, tcp_flag::ack) && receiver.known &&
         answer.acknowledgment - receiver.next <= receiver.window;
}

// A connection that only SYNs of one end have been seen of may be refused by a reset that
// acknowledges one.
bool reset_counts(TcpConnection connection, const TcpSegment& reset, TcpSender sender) {
  const Sides sides(connection, sender);
  if (acknowledges_claim(connection, reset, sender)) return true;
  if (is_opening(connection.state) && !sides.other.known) return acknowledges_syn(sides.own, reset);
  return in_window(sides.other, reset.sequence);
}

// --- SYNs

// How much of it lies behind the SYN.
std::uint16_t data_of(const TcpSegment& syn) {
  return static_cast<std::uint16_t>(std::min(syn.payload_size, 0xffffu));
}

TcpEffect take_syn(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  const TcpReceiver& receiver = Sides(connection, sender).other;
  if (is_over(connection.state) && sender == TcpSender::internal) {
    open(connection, syn, sender);
    return TcpEffect::refresh;
  }
  const bool is_again = receiver.known && syn.sequence + 1 == receiver.next;
  if (!is_again || is_over(connection.state)) claim_syn(connection, syn, sender);
  // Nobody outside keeps a session with SYNs.
  return sender == TcpSender::internal ? TcpEffect::refresh : TcpEffect::none;
}

// A SYN that both ends are known to have the connection of.
bool is_repeated(TcpConnection connection, const TcpSegment& answer, TcpSender sender) {
  const Sides sides(connection, sender);
  if (is_over(connection.state) || !are_known(connection)) return false;
  if (answer.acknowledgment != sides.own.next) return false;
  return is_opening(connection.state) ? answer.sequence + 1 == sides.other.next
                                      : is_near(sides.other, answer.sequence);
}

// The inside answers a SYN of the remote's that had this offer; the remote has to acknowledge that.
void await_proof(TcpConnection connection, const TcpSegment& syn, std::uint8_t offer) {
  TcpReceiver& internal = connection.internal_receiver;
  TcpReceiver& remote = connection.remote_receiver;
  internal = {.next = syn.acknowledgment, .window = syn.window, .known = true};
  internal.offer = syn.scale & 0xf;
  remote = {.next = syn.sequence + 1, .window = data_of(syn), .known = true};
  remote.offer = offer & 0xf;
  settle_scales(connection);
  connection.claim = {};
  if (!is_opening(connection.state)) change(connection, SessionState::tcp_syn_remote);
}

TcpEffect take_answer_from_inside(TcpConnection connection, const TcpSegment& syn) {
  if (is_repeated(connection, syn, TcpSender::internal)) return TcpEffect::refresh;
  const bool has_claim = is_claimed_by(connection, TcpSender::remote) && connection.claim.is_syn;
  if (connection.state == SessionState::tcp_syn_remote &&
      acknowledges_syn(connection.internal_receiver, syn)) {
    await_proof(connection, syn, connection.remote_receiver.offer);
  } else if (acknowledges_claim(connection, syn, TcpSender::internal) ||
             (has_claim && connection.state == SessionState::tcp_closing)) {
    await_proof(connection, syn, connection.claim.offer);
  } else {
    // After the end it may be a copy that is late.
    if (connection.state == SessionState::tcp_closing) return TcpEffect::none;
    claim_syn(connection, syn, TcpSender::internal);
    if (is_over(connection.state)) return TcpEffect::none;
  }
  return TcpEffect::refresh;
}

// The remote's SYN answers that from inside, whose number and offer are known.
void establish(TcpConnection connection, const TcpSegment& syn) {
  TcpReceiver& internal = connection.internal_receiver;
  TcpReceiver& remote = connection.remote_receiver;
  remote.offer = syn.scale & 0xf;
  internal.next = syn.sequence + 1;
  internal.known = true;
  settle_scales(connection);
  learn(remote, syn);
  remote.window_is_scaled = false;
  connection.claim = {};
  change(connection, open_state(connection));
}

TcpEffect take_answer_from_outside(TcpConnection connection, const TcpSegment& syn) {
  if (is_over(connection.state)) return TcpEffect::none;
  TcpReceiver& internal = connection.internal_receiver;
  TcpReceiver& remote = connection.remote_receiver;
  // Who is asked answers with the SYN that it sent, if it sent one.
  const bool is_expected = !internal.known || syn.sequence + 1 == internal.next;
  if (is_opening(connection.state) && is_expected && acknowledges_syn(remote, syn)) {
    establish(connection, syn);
  } else if (acknowledges_claim(connection, syn, TcpSender::remote)) {
    internal = {.offer = connection.claim.offer};
    remote = {.next = syn.acknowledgment, .known = true};
    establish(connection, syn);
  } else if (is_opening(connection.state) || !is_repeated(connection, syn, TcpSender::remote)) {
    return TcpEffect::none;
  }
  return TcpEffect::refresh;
}

// --- all others

void see_fin(TcpConnection connection, TcpSender sender, std::uint32_t next) {
  const Sides sides(connection, sender);
  if (sides.other.saw_fin) return;
  sides.other_aside = next;
  // Whoever takes over the memory of a process that ended here must not take another number for
  // the FIN's.
  std::atomic_signal_fence(std::memory_order_release);
  sides.other.saw_fin = true;
  connection.claim = {};
}

// The remote acknowledges a claimed SYN from inside, or answer to a SYN; its own SYN was not seen
// or is not remembered, nor is its offer.
void accept_syn(TcpConnection connection, const TcpSegment& segment) {
  const std::uint32_t end = segment.sequence + segment.payload_size;
  connection.internal_receiver = {.next = end, .known = true};
  connection.remote_receiver = {.next = segment.acknowledgment, .known = true};
  connection.claim = {};
  change(connection, SessionState::tcp_established);
}

// The windows are where the other end claims and this one agrees.
void accept_claim(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  const Sides sides(connection, sender);
  if (!sides.other.saw_fin) {
    sides.other.next = sides.other_aside;
    sides.other.known = true;
  }
  sides.own.next = segment.acknowledgment;
  sides.own.known = true;
  if (connection.claim.is_fin) sides.own.saw_fin = true;
  connection.claim = {};
  change(connection, open_state(connection));
}

// What the inside sends before the remote proved to be there: its proof may acknowledge that too.
void send_early(TcpConnection connection, const TcpSegment& segment) {
  if (!are_known(connection)) return;
  TcpReceiver& remote = connection.remote_receiver;
  const bool is_fin = has(segment, tcp_flag::fin);
  const std::uint32_t next = segment.sequence + segment.payload_size + (is_fin ? 1 : 0);
  if (next - remote.next > 0xffff) return;
  remote.window = std::max(remote.window, static_cast<std::uint16_t>(next - remote.next));
  if (is_fin) see_fin(connection, TcpSender::internal, next);
}

// RFC 6146 section 3.5.2.2: data and FINs do not open.
TcpEffect take_while_opening(TcpConnection connection, const TcpSegment& segment,
                             TcpSender sender) {
  if (sender == TcpSender::internal) {
    send_early(connection, segment);
    return TcpEffect::refresh;
  }
  if (!acknowledges_syn(connection.remote_receiver, segment)) return TcpEffect::none;
  if (are_known(connection)) change(connection, open_state(connection));
  return TcpEffect::refresh;
}

TcpEffect take_data(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  const Sides sides(connection, sender);
  const std::uint32_t end = segment.sequence + segment.payload_size;
  const bool is_fin = has(segment, tcp_flag::fin);
  const bool was_refused = connection.state == SessionState::tcp_reset && !are_known(connection);
  if (!has(segment, tcp_flag::ack) || was_refused) return TcpEffect::none;
  const bool is_distant = is_far(sides.own, sides.other, segment);
  if (is_distant) {
    if (sender == TcpSender::remote && acknowledges_claim(connection, segment, sender)) {
      accept_syn(connection, segment);
    } else if (agrees_with_claim(connection, segment, sender)) {
      accept_claim(connection, segment, sender);
    } else {
      claim(connection, segment, sender);
      return is_fin || sender == TcpSender::remote ? TcpEffect::none : TcpEffect::refresh;
    }
  }
  const bool was_opening = is_opening(connection.state);
  if (was_opening) {
    const TcpEffect effect = take_while_opening(connection, segment, sender);
    if (is_opening(connection.state)) return effect;
  }
  if (is_fin && !in_window(sides.other, end)) {
    // It decided a claim, or proved that the remote is there, all the same.
    return is_distant || was_opening ? TcpEffect::refresh : TcpEffect::none;
  }
  if (connection.state == SessionState::tcp_reset) {
    const bool is_believed =
        in_window(sides.other, segment.sequence) && in_window(sides.own, segment.acknowledgment);
    if (!is_believed) return TcpEffect::none;
    change(connection, open_state(connection));
  }
  learn(sides.own, segment);
  if (is_fin) {
    see_fin(connection, sender, end + 1);
    change(connection, open_state(connection));
  }
  const bool is_acknowledged = connection.state == SessionState::tcp_closing &&
                               has_all(sides.own, sides.own_aside) &&
                               has_all(sides.other, sides.other_aside);
  return is_acknowledged ? TcpEffect::closed : TcpEffect::refresh;
}

}  // namespace

void open(TcpConnection connection, const TcpSegment& syn, TcpSender sender) {
  const Sides sides(connection, sender);
  connection.state =
      sender == TcpSender::internal ? SessionState::tcp_syn_internal : SessionState::tcp_syn_remote;
  connection.claim = {};
  sides.own = {.window = syn.window};
  sides.own.offer = syn.scale & 0xf;
  // Whoever answers this SYN will expect what follows it, or its data.
  sides.other = {.next = syn.sequence + 1, .window = data_of(syn), .known = true};
}

TcpEffect advance(TcpConnection connection, const TcpSegment& segment, TcpSender sender) {
  if (has(segment, tcp_flag::rst)) {
    if (!reset_counts(connection, segment, sender)) return TcpEffect::none;
    // Both ends closed it: that stays so.
    if (connection.state != SessionState::tcp_closing) change(connection, SessionState::tcp_reset);
    return TcpEffect::closed;
  }
  if (!has(segment, tcp_flag::syn)) return take_data(connection, segment, sender);
  if (!has(segment, tcp_flag::ack)) return take_syn(connection, segment, sender);
  return sender == TcpSender::internal ? take_answer_from_inside(connection, segment)
                                       : take_answer_from_outside(connection, segment);
}

}  // namespace swnat
