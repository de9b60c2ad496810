#include "tests/property/tcp_model.h"

#include <algorithm>

#include "tests/property/leniency.h"

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
  opener.window_is_of_syn = true;
  opener.scale = syn.fields.scale;
  end(other(from)).spoke = true;
  end(other(from)).expects = syn.fields.sequence + 1;
}

std::uint32_t TcpModel::window(Side of) const {
  const End& own = end(of);
  int scale = std::clamp(own.scale, 0, 14);
  if (!engine_is_lenient.scaled_syn_window && own.window_is_of_syn) scale = 0;
  if (!engine_is_lenient.one_sided_scale && end(other(of)).scale < 0) scale = 0;
  return std::max(std::uint32_t{own.window} << scale, 1u);
}

bool TcpModel::would_take(Side receiver, std::uint32_t sequence) const {
  return end(receiver).spoke && sequence - end(receiver).expects <= window(receiver);
}

// Whether a number could be one of the connection, late or early: data as far off as no window of
// the receiver reaches, or its acknowledgment, comes from somebody who guesses.
bool TcpModel::seems_near(Side receiver, std::uint32_t number) const {
  const End& own = end(receiver);
  const std::uint32_t reach = 0xffffu << std::clamp(own.scale, 0, 14);
  return !own.spoke || number - own.expects <= reach || own.expects - number <= reach;
}

// A host that refuses a SYN answers with a reset that acknowledges it; otherwise a reset must lie
// in the window of whom it is sent to.
bool TcpModel::believes_reset(const TcpSegment& segment, Side from) const {
  const bool awaited = !reset_ && !is_open_from_both() && !end(from).sent_syn &&
                       !ends_[0].sent_fin && !ends_[1].sent_fin;
  if (!awaited) return would_take(other(from), segment.fields.sequence);
  return has(segment, flag::ack) && end(from).spoke &&
         segment.fields.acknowledgment == end(from).expects;
}

bool TcpModel::are_fins_acknowledged() const {
  return has_both_fins() && !is_before(ends_[0].expects, ends_[1].after_fin) &&
         !is_before(ends_[1].expects, ends_[0].after_fin);
}

// Anybody can send a SYN in the remote's name; only the tenant's own, or its answer, opens anew.
TcpModel::Effect TcpModel::reopen(const TcpSegment& syn, Side from) {
  End& remote = end(Side::remote);
  if (from == Side::remote) {
    if (!reset_) remote.scale = syn.fields.scale;
    return Effect::ignored;
  }
  const int remote_scale = remote.scale;
  *this = TcpModel(syn, from);
  if (!has(syn, flag::ack)) return Effect::active;
  remote.sent_syn = true;
  remote.scale = remote_scale;
  End& own = end(Side::internal);
  own.spoke = true;
  own.expects = syn.fields.acknowledgment;
  return Effect::active;
}

TcpModel::Effect TcpModel::take(const TcpSegment& segment, Side from) {
  if (has(segment, flag::rst)) {
    if (!believes_reset(segment, from)) return Effect::ignored;
    reset_ = true;
    return Effect::ended;
  }
  const bool is_syn = has(segment, flag::syn);
  if (is_over() && is_syn) return reopen(segment, from);
  const bool is_fin = has(segment, flag::fin);
  const std::uint32_t last = segment.fields.sequence + segment.payload;
  if (is_fin && !would_take(other(from), last)) return Effect::ignored;
  End& own = end(from);
  if (is_syn && engine_is_lenient.far_syn_opens) own.sent_syn = true;
  const bool is_near =
      seems_near(other(from), segment.fields.sequence) &&
      (!has(segment, flag::ack) || seems_near(from, segment.fields.acknowledgment));
  if (!is_near) return Effect::active;
  if (reset_) {  // traffic that goes on: the reset was not believed
    reset_ = false;
    for (End& one : ends_) {
      one.sent_syn = true;
      one.sent_fin = false;
    }
  }
  if (is_syn) {
    own.sent_syn = true;
    own.scale = segment.fields.scale;
  }
  const bool is_news = !own.spoke || !is_before(segment.fields.acknowledgment, own.expects);
  if (has(segment, flag::ack) && is_news) {
    own.spoke = true;
    own.expects = segment.fields.acknowledgment;
    own.window = segment.fields.window;
    own.window_is_of_syn = is_syn;
  }
  const bool may_close = is_open_from_both() || engine_is_lenient.fin_ends_opening;
  if (is_fin && may_close && !own.sent_fin) {
    own.sent_fin = true;
    own.after_fin = last + 1;
  }
  return are_fins_acknowledged() ? Effect::ended : Effect::active;
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
