// What the engine does already. The random configurations use nothing else, and the model demands
// nothing else.
#pragma once

namespace swnat::property {

struct Features {
  bool ipv6 = false;
  bool address_and_port_dependent_mapping = false;
  bool drops = false;
  bool redirects = false;  // to outside, and to within the namespace
  bool forwards = false;
  bool untranslated = false;
  bool port_rest = false;
  bool port_preservation = false;  // the internal port where it is free
  bool port_class = false;         // 0 to 1023 and the others apart, while there are such
  bool borrowing = false;          // ports of other shards
  bool other_protocols = false;    // neither TCP, UDP nor ICMP: by addresses alone
  bool hairpin_echo = false;
};
inline constexpr Features engine_supports{};

// Where the engine is known to be more lenient than the RFCs are. The model follows it there.
struct Leniency {
  bool scaled_syn_window = true;      // RFC 7323 section 2.2: a SYN's window is never scaled
  bool one_sided_scale = true;        // section 1.3: both must offer the option
  bool fin_ends_opening = true;       // RFC 6146 section 3.5.2.2: only the other SYN does
  bool racing_evictions_slip = true;  // two threads may evict one who is not the oldest
};
inline constexpr Leniency engine_is_lenient{};

}  // namespace swnat::property
