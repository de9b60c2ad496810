#include "tests/property/tcp_model.h"

#include <algorithm>
#include <utility>

namespace swnat::property {
namespace {

bool has(const TcpSegment& segment, std::uint8_t bit) {
  return (segment.fields.flags & bit) != 0;
}

Side other(Side side) {
  return side == Side::internal ? Side::remote : Side::internal;
}

// Sequence numbers are compared modulo 2^32 (RFC 9293 section 3.4).
bool is_before(std::uint32_t a, std::uint32_t b) {
  return a != b && b - a < 0x8000'0000;
}

}  // namespace

TcpModel::TcpModel(const TcpSegment& syn, Side from) {
  begun_by_ = from;
  End& opener = end(from);
  opener.window = syn.fields.window;
  opener.scale = syn.fields.scale;
  // It may acknowledge the SYN with or without the data in it.
  End& answerer = end(other(from));
  answerer.spoke = true;
  answerer.expects = syn.fields.sequence + 1;
  answerer.window = static_cast<std::uint16_t>(syn.payload);
}

// RFC 7323 section 1.3: windows are scaled only if both ends offered it.
int TcpModel::scale(Side of) const {
  if (end(of).scale < 0 || end(other(of)).scale < 0) return 0;
  return std::min(end(of).scale, 14);
}

// RFC 7323 section 2.2: the window in a SYN is never scaled.
std::uint32_t TcpModel::window(Side of) const {
  const End& own = end(of);
  return std::max(std::uint32_t{own.window} << (own.window_is_of_syn ? 0 : scale(of)), 1u);
}

bool TcpModel::would_take(Side receiver, std::uint32_t sequence) const {
  return end(receiver).spoke && sequence - end(receiver).expects <= window(receiver);
}

bool TcpModel::is_within_reach(Side receiver, std::uint32_t number, std::uint32_t of) const {
  const std::uint32_t reach = 0xffffu << scale(receiver);
  return number - of <= reach || of - number <= reach;
}

// Whether a number could be one of the connection, late or early: data as far off as no window of
// the receiver reaches, or its acknowledgment, comes from somebody who guesses.
bool TcpModel::seems_near(Side receiver, std::uint32_t number) const {
  return !end(receiver).spoke || is_within_reach(receiver, number, end(receiver).expects);
}

// Of a SYN, and of what its sender is known to have sent behind it.
bool TcpModel::acknowledges_sent(const TcpSegment& segment, Side from) const {
  return has(segment, flag::ack) && end(from).spoke &&
         segment.fields.acknowledgment - end(from).expects <= end(from).window;
}

bool TcpModel::is_claimed_syn_of(Side side) const {
  return claim_.is_made && claim_.is_syn && claim_.from == side;
}

bool TcpModel::acknowledges_claimed_syn(const TcpSegment& segment, Side from) const {
  return !has_both_fins() && is_claimed_syn_of(other(from)) && has(segment, flag::ack) &&
         segment.fields.acknowledgment == claim_.after;
}

// A host that refuses a SYN answers with a reset that acknowledges it; otherwise a reset must lie
// in the window of whom it is sent to.
bool TcpModel::believes_reset(const TcpSegment& segment, Side from) const {
  if (acknowledges_claimed_syn(segment, from)) return true;
  if (is_opening() && !end(other(from)).spoke) return acknowledges_sent(segment, from);
  return would_take(other(from), segment.fields.sequence);
}

bool TcpModel::are_fins_acknowledged() const {
  return has_both_fins() && !is_before(ends_[0].expects, ends_[1].after_fin) &&
         !is_before(ends_[1].expects, ends_[0].after_fin);
}

// --- claims

// What comes from outside may be a stranger's: it displaces nothing that the tenant says.
bool TcpModel::may_claim(Side from) const {
  return from == Side::internal || !claim_.is_made || claim_.from == Side::remote;
}

// What an end expects, if the claim is right. After a FIN nothing more comes, so that is certain.
std::uint32_t TcpModel::claimed(Side receiver) const {
  if (end(other(receiver)).sent_fin) return end(other(receiver)).after_fin;
  return receiver == claim_.from ? claim_.expects : claim_.after;
}

std::optional<TcpModel::Answer> TcpModel::answer_to_claim(Side by) const {
  if (!claim_.is_made || claim_.from == by) return {};
  return Answer{claimed(other(by)), claim_.is_syn ? claim_.after : claimed(by), claim_.is_syn};
}

bool TcpModel::agrees_with_claim(const TcpSegment& segment, Side from) const {
  return claim_.is_made && !claim_.is_syn && claim_.from != from &&
         is_within_reach(from, segment.fields.acknowledgment, claimed(from)) &&
         is_within_reach(other(from), segment.fields.sequence, claimed(other(from)));
}

void TcpModel::claim(const TcpSegment& segment, Side from) {
  const bool is_fin = has(segment, flag::fin);
  if (!may_claim(from) || has_both_fins()) return;
  Claim made{.is_made = true, .from = from, .is_fin = is_fin};
  made.after = segment.fields.sequence + segment.payload + (is_fin ? 1 : 0);
  made.expects = segment.fields.acknowledgment;
  // What contradicts a FIN that was seen is nobody's claim.
  if (end(from).sent_fin && !is_within_reach(other(from), made.after, end(from).after_fin)) return;
  const End& peer = end(other(from));
  if (peer.sent_fin && !is_within_reach(from, made.expects, peer.after_fin)) return;
  claim_ = made;
}

void TcpModel::claim_syn(const TcpSegment& syn, Side from) {
  if (!may_claim(from)) return;
  claim_ = {.is_made = true, .from = from, .is_syn = true, .after = syn.fields.sequence + 1};
  claim_.scale = syn.fields.scale;
}

void TcpModel::accept_claim(const TcpSegment& segment, Side from) {
  const Claim right = std::exchange(claim_, {});
  End& claimant = end(right.from);
  if (!end(from).sent_fin) claimant.expects = right.expects;
  claimant.spoke = true;
  end(from).expects = segment.fields.acknowledgment;
  end(from).spoke = true;
  reset_ = false;
  open_ = true;
  if (!right.is_fin || claimant.sent_fin) return;
  claimant.sent_fin = true;
  claimant.after_fin = right.after;
}

void TcpModel::listen_to(const TcpSegment& segment, Side from) {
  End& own = end(from);
  if (own.spoke && is_before(segment.fields.acknowledgment, own.expects)) return;
  own.spoke = true;
  own.expects = segment.fields.acknowledgment;
  own.window = segment.fields.window;
  own.window_is_of_syn = has(segment, flag::syn);
}

// --- SYNs

// The tenant answers a SYN of the remote's: whether that is more than a name in a packet shows when
// it acknowledges the answer.
void TcpModel::await_proof(const TcpSegment& answer, int remote_scale) {
  const Side begun_by = is_opening() ? begun_by_ : Side::remote;
  *this = TcpModel(answer, Side::internal);
  begun_by_ = begun_by;
  end(Side::remote).scale = remote_scale;
  end(Side::internal).spoke = true;
  end(Side::internal).expects = answer.fields.acknowledgment;
}

void TcpModel::prove(const TcpSegment& answer) {
  End& remote = end(Side::remote);
  remote.scale = answer.fields.scale;
  listen_to(answer, Side::remote);
  end(Side::internal).spoke = true;
  end(Side::internal).expects = answer.fields.sequence + 1;
  open_ = true;
  claim_ = {};
}

TcpModel::Effect TcpModel::follow_syn(const TcpSegment& syn, Side from) {
  if (is_over() && from == Side::internal) {
    *this = TcpModel(syn, from);
    return Effect::active;
  }
  const End& receiver = end(other(from));
  const bool is_again = receiver.spoke && receiver.expects == syn.fields.sequence + 1;
  if (is_over() || !is_again) claim_syn(syn, from);
  return from == Side::internal ? Effect::active : Effect::ignored;
}

TcpModel::Effect TcpModel::follow_answer_from_inside(const TcpSegment& answer) {
  const End& own = end(Side::internal);
  const End& remote = end(Side::remote);
  const std::uint32_t after = answer.fields.sequence + 1;
  const bool is_copy =
      !is_over() && both_spoke() && answer.fields.acknowledgment == own.expects &&
      (open_ ? seems_near(Side::remote, answer.fields.sequence) : after == remote.expects);
  if (is_copy) return Effect::active;
  if (is_opening() && begun_by_ == Side::remote && acknowledges_sent(answer, Side::internal)) {
    await_proof(answer, remote.scale);
  } else if (acknowledges_claimed_syn(answer, Side::internal) ||
             (has_both_fins() && is_claimed_syn_of(Side::remote))) {
    await_proof(answer, claim_.scale);
  } else if (has_both_fins()) {
    return Effect::ignored;
  } else {
    claim_syn(answer, Side::internal);
    if (reset_) return Effect::ignored;
  }
  return Effect::active;
}

TcpModel::Effect TcpModel::follow_answer_from_outside(const TcpSegment& answer) {
  if (is_over()) return Effect::ignored;
  const End& internal = end(Side::internal);
  const bool is_expected = !internal.spoke || internal.expects == answer.fields.sequence + 1;
  if (!open_ && is_expected && acknowledges_sent(answer, Side::remote)) {
    prove(answer);
  } else if (acknowledges_claimed_syn(answer, Side::remote)) {
    const Claim right = claim_;
    *this = {};
    end(Side::internal).scale = right.scale;
    prove(answer);
  } else {
    const bool is_copy = open_ && both_spoke() &&
                         answer.fields.acknowledgment == end(Side::remote).expects &&
                         seems_near(Side::internal, answer.fields.sequence);
    if (!is_copy) return Effect::ignored;
  }
  return Effect::active;
}

// --- segments

// RFC 6146 section 3.5.2.2: neither data nor a FIN opens; but whoever acknowledges what the tenant
// sent, its SYN first of all, has seen it.
TcpModel::Effect TcpModel::follow_early(const TcpSegment& segment, Side from) {
  if (from == Side::remote) {
    if (!acknowledges_sent(segment, from)) return Effect::ignored;
    open_ = both_spoke();
    return Effect::active;
  }
  if (!both_spoke()) return Effect::active;
  End& remote = end(Side::remote);
  const bool is_fin = has(segment, flag::fin);
  const std::uint32_t after = segment.fields.sequence + segment.payload + (is_fin ? 1 : 0);
  const std::uint32_t sent = after - remote.expects;
  if (sent > 0xffff) return Effect::active;
  remote.window = std::max(remote.window, static_cast<std::uint16_t>(sent));
  End& internal = end(Side::internal);
  if (is_fin && !internal.sent_fin) {
    internal.sent_fin = true;
    internal.after_fin = after;
  }
  return Effect::active;
}

TcpModel::Effect TcpModel::follow_data(const TcpSegment& segment, Side from) {
  const bool is_fin = has(segment, flag::fin);
  const std::uint32_t sequence = segment.fields.sequence;
  const std::uint32_t acknowledgment = segment.fields.acknowledgment;
  // RFC 9293 section 3.10.7.4: without an acknowledgment it is dropped.
  if (!has(segment, flag::ack)) return Effect::ignored;
  // What was refused never was a connection.
  if (reset_ && !both_spoke()) return Effect::ignored;
  const std::uint32_t last = sequence + segment.payload;
  const bool is_near = seems_near(other(from), sequence) && seems_near(from, acknowledgment);
  if (!is_near) {
    if (from == Side::remote && acknowledges_claimed_syn(segment, from)) {
      *this = {};
      open_ = true;
      for (End& one : ends_) one.spoke = true;
      end(Side::internal).expects = last;
      end(Side::internal).window_is_of_syn = true;
      end(Side::remote).expects = acknowledgment;
    } else if (agrees_with_claim(segment, from)) {
      accept_claim(segment, from);
    } else {
      claim(segment, from);
      return is_fin || from == Side::remote ? Effect::ignored : Effect::active;
    }
  }
  const bool was_opening = is_opening();
  if (was_opening) {
    const Effect effect = follow_early(segment, from);
    if (is_opening()) return effect;
  }
  if (is_fin && !would_take(other(from), last)) {
    // It decided a claim, or was the remote's proof, all the same.
    return is_near && !was_opening ? Effect::ignored : Effect::active;
  }
  if (reset_) {
    if (!would_take(other(from), sequence) || !would_take(from, acknowledgment)) {
      return Effect::ignored;
    }
    reset_ = false;  // traffic that goes on: the reset was not believed
    open_ = true;
  }
  listen_to(segment, from);
  End& own = end(from);
  if (is_fin && !own.sent_fin) {
    own.sent_fin = true;
    own.after_fin = last + 1;
  }
  return are_fins_acknowledged() ? Effect::ended : Effect::active;
}

TcpModel::Effect TcpModel::follow(const TcpSegment& segment, Side from) {
  if (has(segment, flag::rst)) {
    if (!believes_reset(segment, from)) return Effect::ignored;
    reset_ = !has_both_fins();  // what both ends closed stays closed
    return Effect::ended;
  }
  if (!has(segment, flag::syn)) return follow_data(segment, from);
  if (!has(segment, flag::ack)) return follow_syn(segment, from);
  return from == Side::internal ? follow_answer_from_inside(segment)
                                : follow_answer_from_outside(segment);
}

// A claim is about the connection as it was when it was made.
TcpModel::Effect TcpModel::take(const TcpSegment& segment, Side from) {
  const auto before = facts();
  const Effect effect = follow(segment, from);
  if (facts() != before) claim_ = {};
  return effect;
}

std::string_view TcpModel::state() const {
  if (reset_) return "reset";
  if (has_both_fins()) return "closing";
  if (!open_) return "opening";
  return ends_[0].sent_fin || ends_[1].sent_fin ? "half-closed" : "established";
}

bool TcpModel::is_established() const {
  return state() == "established" || state() == "half-closed";
}

}  // namespace swnat::property
