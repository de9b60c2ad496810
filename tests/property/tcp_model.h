// A TCP connection as the NAT sees it, as facts: what was seen from each end (RFC 7857 section 2,
// RFC 6146 section 3.5.2.2). Its state follows from them.
#pragma once

#include <cstdint>
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

  // What an end takes next, as far as it is known, and how much: for making up segments that are
  // just right, or just wrong.
  std::uint32_t expected(Side by) const { return end(by).expects; }
  std::uint32_t window(Side of) const;

 private:
  Effect reopen(const TcpSegment& syn, Side from);
  struct End {
    bool sent_syn = false;
    bool sent_fin = false;
    std::uint32_t after_fin = 0;  // what the other end expects once it has the FIN
    bool spoke = false;           // whether `expects` is known
    std::uint32_t expects = 0;
    std::uint16_t window = 0;
    bool window_is_of_syn = false;
    int scale = -1;  // -1: not offered
  };
  End& end(Side side) { return ends_[static_cast<std::size_t>(side)]; }
  const End& end(Side side) const { return ends_[static_cast<std::size_t>(side)]; }

  bool is_open_from_both() const { return ends_[0].sent_syn && ends_[1].sent_syn; }
  bool has_both_fins() const { return ends_[0].sent_fin && ends_[1].sent_fin; }
  bool would_take(Side receiver, std::uint32_t sequence) const;
  bool seems_near(Side receiver, std::uint32_t number) const;
  bool believes_reset(const TcpSegment& segment, Side from) const;
  bool are_fins_acknowledged() const;

  End ends_[2];
  bool reset_ = false;
};

}  // namespace swnat::property
