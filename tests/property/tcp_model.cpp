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
  End& opener = end(from);
  opener.sent_syn = true;
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

// Whether only the other end has sent SYNs so far.
bool TcpModel::awaits_answer(Side by) const {
  return !reset_ && end(other(by)).sent_syn && !end(by).sent_syn;
}

bool TcpModel::acknowledges_syn(const TcpSegment& segment, Side from) const {
  return has(segment, flag::ack) && end(from).spoke &&
         segment.fields.acknowledgment - end(from).expects <= end(from).window;
}

bool TcpModel::acknowledges_claimed_syn(const TcpSegment& segment, Side from) const {
  return !is_over() && claim_.is_made && claim_.is_syn && claim_.from != from &&
         has(segment, flag::ack) && segment.fields.acknowledgment == claim_.after;
}

// A host that refuses a SYN answers with a reset that acknowledges it; otherwise a reset must lie
// in the window of whom it is sent to.
bool TcpModel::believes_reset(const TcpSegment& segment, Side from) const {
  if (acknowledges_claimed_syn(segment, from)) return true;
  if (awaits_answer(from)) return acknowledges_syn(segment, from);
  return would_take(other(from), segment.fields.sequence);
}

bool TcpModel::are_fins_acknowledged() const {
  return !reset_ && has_both_fins() && !is_before(ends_[0].expects, ends_[1].after_fin) &&
         !is_before(ends_[1].expects, ends_[0].after_fin);
}

// --- claims

// What an end expects, if the claim is right. After a FIN nothing more comes, so that is certain.
std::uint32_t TcpModel::claimed(Side receiver) const {
  if (has_fin(other(receiver))) return end(other(receiver)).after_fin;
  return receiver == claim_.from ? claim_.expects : claim_.after;
}

std::optional<TcpModel::Answer> TcpModel::answer_to_claim(Side by) const {
  if (!claim_.is_made || claim_.from == by) return {};
  return Answer{claimed(other(by)), claim_.is_syn ? claim_.after : claimed(by), claim_.is_syn};
}

bool TcpModel::agrees_with_claim(const TcpSegment& segment, Side from) const {
  return claim_.is_made && !claim_.is_syn && claim_.from != from && has(segment, flag::ack) &&
         is_within_reach(from, segment.fields.acknowledgment, claimed(from)) &&
         is_within_reach(other(from), segment.fields.sequence, claimed(other(from)));
}

void TcpModel::claim(const TcpSegment& segment, Side from) {
  const bool is_fin = has(segment, flag::fin);
  if (!has(segment, flag::ack) || (!reset_ && has_both_fins())) return;
  Claim made{.is_made = true, .from = from, .is_fin = is_fin};
  made.after = segment.fields.sequence + segment.payload + (is_fin ? 1 : 0);
  made.expects = segment.fields.acknowledgment;
  // What contradicts a FIN that was seen is nobody's claim.
  if (has_fin(from) && !is_within_reach(other(from), made.after, end(from).after_fin)) return;
  if (has_fin(other(from)) && !is_within_reach(from, made.expects, end(other(from)).after_fin)) {
    return;
  }
  claim_ = made;
}

void TcpModel::accept_claim(const TcpSegment& segment, Side from) {
  const Claim right = std::exchange(claim_, {});
  End& claimant = end(right.from);
  if (!has_fin(from)) claimant.expects = right.expects;
  claimant.spoke = true;
  end(from).expects = segment.fields.acknowledgment;
  end(from).spoke = true;
  if (reset_) revive();
  for (End& one : ends_) one.sent_syn = true;
  if (!right.is_fin || claimant.sent_fin) return;
  claimant.sent_fin = true;
  claimant.after_fin = right.after;
}

// Traffic that goes on: the reset was not believed.
void TcpModel::revive() {
  reset_ = false;
  for (End& one : ends_) {
    one.sent_syn = true;
    one.sent_fin = false;
  }
}

void TcpModel::listen_to(const TcpSegment& segment, Side from) {
  End& own = end(from);
  if (!has(segment, flag::ack)) return;
  if (own.spoke && is_before(segment.fields.acknowledgment, own.expects)) return;
  own.spoke = true;
  own.expects = segment.fields.acknowledgment;
  own.window = segment.fields.window;
  own.window_is_of_syn = has(segment, flag::syn);
}

// --- SYNs

// A SYN that answers the other end's.
void TcpModel::establish(const TcpSegment& answer, Side from) {
  End& own = end(from);
  own.sent_syn = true;
  own.scale = answer.fields.scale;
  listen_to(answer, from);
  end(other(from)).spoke = true;
  end(other(from)).expects = answer.fields.sequence + 1;
}

// Anybody can send a SYN in the remote's name; only the tenant's own, or its answer, opens anew.
TcpModel::Effect TcpModel::reopen(const TcpSegment& syn, Side from) {
  const bool is_answer = has(syn, flag::ack);
  if (from == Side::remote) {
    if (!is_answer) claim_ = {.is_made = true, .from = from, .is_syn = true};
    if (!is_answer) claim_.scale = syn.fields.scale;
    return Effect::ignored;
  }
  if (!is_answer) {
    *this = TcpModel(syn, from);
    return Effect::active;
  }
  const int remote_scale = claim_.is_syn ? claim_.scale : -1;
  *this = {};
  end(Side::remote).sent_syn = true;
  end(Side::remote).scale = remote_scale;
  establish(syn, from);
  return Effect::active;
}

TcpModel::Effect TcpModel::follow_syn(const TcpSegment& syn, Side from) {
  if (awaits_answer(from)) {  // both at once
    end(from).sent_syn = true;
    end(from).scale = syn.fields.scale;
    return Effect::active;
  }
  const End& receiver = end(other(from));
  const std::uint32_t after = syn.fields.sequence + 1;
  if (receiver.spoke && receiver.expects == after) return Effect::active;  // sent again
  claim_ = {.is_made = true, .from = from, .is_syn = true, .after = after};
  claim_.scale = syn.fields.scale;
  return from == Side::internal ? Effect::active : Effect::ignored;
}

TcpModel::Effect TcpModel::follow_answer(const TcpSegment& answer, Side from) {
  const End& own = end(from);
  const bool is_open = is_open_from_both();
  const bool is_expected = is_open ? (!own.spoke || answer.fields.acknowledgment == own.expects) &&
                                         seems_near(other(from), answer.fields.sequence)
                                   : awaits_answer(from) && acknowledges_syn(answer, from);
  if (is_expected) {
    if (!is_open || !own.spoke) establish(answer, from);
  } else if (acknowledges_claimed_syn(answer, from)) {
    const Claim right = std::exchange(claim_, {});
    *this = {};
    end(right.from).sent_syn = true;
    end(right.from).scale = right.scale;
    establish(answer, from);
  }
  return Effect::active;
}

// --- segments

TcpModel::Effect TcpModel::follow_data(const TcpSegment& segment, Side from) {
  const bool is_fin = has(segment, flag::fin);
  const bool is_near =
      seems_near(other(from), segment.fields.sequence) &&
      (!has(segment, flag::ack) || seems_near(from, segment.fields.acknowledgment));
  if (!is_near) {
    if (!agrees_with_claim(segment, from)) {
      claim(segment, from);
      return is_fin ? Effect::ignored : Effect::active;
    }
    accept_claim(segment, from);
  }
  const std::uint32_t last = segment.fields.sequence + segment.payload;
  if (is_fin && !would_take(other(from), last)) return Effect::ignored;
  if (!reset_ && !is_open_from_both()) return Effect::active;  // RFC 6146 section 3.5.2.2
  if (reset_) revive();
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
    reset_ = true;
    return Effect::ended;
  }
  if (!has(segment, flag::syn)) return follow_data(segment, from);
  if (is_over()) return reopen(segment, from);
  return has(segment, flag::ack) ? follow_answer(segment, from) : follow_syn(segment, from);
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
  if (ends_[0].sent_fin || ends_[1].sent_fin) return "half-closed";
  return is_open_from_both() ? "established" : "opening";
}

bool TcpModel::is_established() const {
  return state() == "established" || state() == "half-closed";
}

}  // namespace swnat::property
