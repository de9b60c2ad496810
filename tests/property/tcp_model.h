// A TCP connection as the NAT sees it, as facts: what was seen from each end (RFC 7857 section 2,
// RFC 6146 section 3.5.2.2). Its state follows from them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tests/property/wire.h"

namespace swnat::property {

enum class Side : std::uint8_t { internal, remote };

class TcpModel {
 public:
  // Does nothing until a SYN opens it.
  TcpModel() = default;
  TcpModel(const TcpSegment& syn, Side from);

  enum class Effect : std::uint8_t { active, ignored, ended };
  Effect take(const TcpSegment& segment, Side from);

  std::string_view state() const;
  bool is_established() const;  // or half-closed: the long timeout counts
  bool is_over() const { return reset_ || has_both_fins(); }
  // Only the remote wants it, as far as was proved.
  bool is_asked_by_remote() const { return !open_ && begun_by_ == Side::remote; }

  // What an end takes next, as far as it is known, and how much: for making up segments that are
  // just right, or just wrong.
  std::uint32_t expected(Side by) const { return end(by).expects; }
  std::uint32_t window(Side of) const;
  struct Answer {
    std::uint32_t sequence;
    std::uint32_t acknowledgment;
    bool is_to_syn;
  };
  // What would decide a claim of the other end, if there is one.
  std::optional<Answer> answer_to_claim(Side by) const;

 private:
  struct End {
    bool sent_fin = false;
    std::uint32_t after_fin = 0;  // what the other end expects once it has the FIN
    bool spoke = false;           // whether `expects` is known
    std::uint32_t expects = 0;
    std::uint16_t window = 0;
    bool window_is_of_syn = true;
    int scale = -1;  // -1: not offered
  };
  // The last segment that did not fit what is known; the other end decides whether it is right.
  struct Claim {
    bool is_made = false;
    Side from = Side::internal;
    bool is_syn = false;
    bool is_fin = false;
    std::uint32_t after = 0;    // what the other end would expect once it has the segment
    std::uint32_t expects = 0;  // what its sender does
    int scale = -1;
  };
  End& end(Side side) { return ends_[static_cast<std::size_t>(side)]; }
  const End& end(Side side) const { return ends_[static_cast<std::size_t>(side)]; }

  std::array<bool, 4> facts() const {
    return {open_, ends_[0].sent_fin, ends_[1].sent_fin, reset_};
  }
  bool has_both_fins() const { return ends_[0].sent_fin && ends_[1].sent_fin; }
  bool both_spoke() const { return ends_[0].spoke && ends_[1].spoke; }
  bool is_opening() const { return !open_ && !reset_; }
  int scale(Side of) const;
  bool is_within_reach(Side receiver, std::uint32_t number, std::uint32_t of) const;
  bool would_take(Side receiver, std::uint32_t sequence) const;
  bool seems_near(Side receiver, std::uint32_t number) const;
  bool acknowledges_sent(const TcpSegment& segment, Side from) const;
  bool is_claimed_syn_of(Side side) const;
  bool acknowledges_claimed_syn(const TcpSegment& segment, Side from) const;
  bool believes_reset(const TcpSegment& segment, Side from) const;
  bool are_fins_acknowledged() const;
  bool may_claim(Side from) const;
  std::uint32_t claimed(Side receiver) const;
  bool agrees_with_claim(const TcpSegment& segment, Side from) const;
  void claim(const TcpSegment& segment, Side from);
  void claim_syn(const TcpSegment& syn, Side from);
  void accept_claim(const TcpSegment& segment, Side from);
  void listen_to(const TcpSegment& segment, Side from);
  void await_proof(const TcpSegment& answer, int remote_scale);
  void prove(const TcpSegment& answer);

  Effect follow(const TcpSegment& segment, Side from);
  Effect follow_syn(const TcpSegment& syn, Side from);
  Effect follow_answer_from_inside(const TcpSegment& answer);
  Effect follow_answer_from_outside(const TcpSegment& answer);
  Effect follow_early(const TcpSegment& segment, Side from);
  Effect follow_data(const TcpSegment& segment, Side from);

  End ends_[2];
  Side begun_by_ = Side::internal;
  bool open_ = false;  // the remote acknowledged a SYN from inside, so it is there
  bool reset_ = false;
  Claim claim_;
};

}  // namespace swnat::property
