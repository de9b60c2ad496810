// Where the engine is known to be more lenient than the RFCs are, or than it says. The model
// follows it there: a switch is turned off when the engine has been mended.
#pragma once

namespace swnat::property {

struct Leniency {
  bool scaled_syn_window = true;  // RFC 7323 section 2.2: a SYN's window is never scaled
  bool one_sided_scale = true;    // section 1.3: both must offer the option
  bool far_syn_opens = true;      // a SYN whose acknowledgment is nowhere near counts
  bool fin_ends_opening = true;   // RFC 6146 section 3.5.2.2: only the other SYN does
  // An inbound packet makes a session with the inside of another, whose packets are redirected.
  bool second_inside = false;
};
inline constexpr Leniency engine_is_lenient{};

}  // namespace swnat::property
