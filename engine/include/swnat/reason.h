// Why a packet was accepted, passed, dropped or held. One list makes the enum, the text and the
// counter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace swnat {

enum class Verdict : std::uint8_t {
  drop,
  accept,
  pass,  // nothing of the NAT's: it may go on as it is, to where others know whose it is
  hold,  // a fragment whose first is not here yet: keep it and give it again, or drop it
};

// X(name, verdict, text)
#define SWNAT_REASONS(X)                                                                         \
  X(translated_outbound, accept, "translated on the way out")                                    \
  X(translated_inbound, accept, "translated on the way in")                                      \
  X(translated_hairpin, accept, "translated from one internal host to another")                  \
  X(untranslated, accept, "to a destination that is reached without translation")                \
  X(fragment_waits, hold, "fragment that came before the first of its datagram")                 \
  X(not_ip, drop, "neither an IPv4 nor an IPv6 packet")                                          \
  X(malformed_ip, drop, "IP header lengths contradict each other or the packet")                 \
  X(malformed_transport, drop, "TCP, UDP or ICMP header is cut short or contradicts the packet") \
  X(malformed_fragment, drop, "fragment that no honest host sends")                              \
  X(fragment_unfinished, drop, "fragment with a checksum that its sender left to be finished")   \
  X(unsupported_protocol, drop, "protocol that cannot be translated")                            \
  X(malformed_icmp_error, drop, "ICMP error that is damaged or quotes too little")               \
  X(icmp_error_unmatched, pass, "ICMP error about a packet of no session")                       \
  X(icmp_error_unsent, drop, "ICMP error on the way out about a packet of no session")           \
  X(icmp_unsupported, drop, "ICMP type that is neither an error to translate nor an echo here")  \
  X(invalid_address, drop, "source or destination that no host can have")                        \
  X(invalid_port, drop, "source or destination port 0")                                          \
  X(unknown_namespace, drop, "the fwmark names no namespace")                                    \
  X(no_external_address, drop, "the namespace has no external address of this family")           \
  X(dropped_by_rule, drop, "to a destination that a rule forbids")                               \
  X(no_mapping, pass, "nothing is mapped to this external endpoint")                             \
  X(filtered, pass, "the mapping does not accept this remote endpoint")                          \
  X(answer_in_use, pass, "what would answer it belongs to another session")                      \
  X(foreign_segment, pass, "TCP segment to a mapping that belongs to no session and opens none") \
  X(foreign_icmp, pass, "ICMP type that is no answer to a namespace's echo request")             \
  X(foreign_protocol, pass, "protocol that is not translated, not on the way out")               \
  X(foreign_fwmark, pass, "the fwmark names no namespace, not on the way out")                   \
  X(tcp_not_syn, drop, "TCP segment that belongs to no session and opens none")                  \
  X(session_limit, drop, "the namespace is at its session limit")                                \
  X(port_limit, drop, "the namespace is at its port limit")                                      \
  X(table_full, drop, "the session table is full")                                               \
  X(no_free_port, drop, "no external port is free")                                              \
  X(remote_in_use, drop, "another session has this external and this remote endpoint")           \
  X(hairpin_off, drop, "hairpinning is switched off")

enum class Reason : std::uint8_t {
#define X(name, verdict, text) name,
  SWNAT_REASONS(X)
#undef X
};

inline constexpr std::size_t reason_count = 0
#define X(name, verdict, text) +1
    SWNAT_REASONS(X)
#undef X
    ;

struct ReasonInfo {
  std::string_view name;  // as in the source and in counters
  Verdict verdict;
  std::string_view text;  // for people
};

inline constexpr std::array<ReasonInfo, reason_count> reasons{{
#define X(name, verdict, text) {#name, Verdict::verdict, text},
    SWNAT_REASONS(X)
#undef X
}};

constexpr const ReasonInfo& info(Reason reason) {
  return reasons[static_cast<std::size_t>(reason)];
}
constexpr Verdict verdict_of(Reason reason) {
  return info(reason).verdict;
}

inline constexpr std::string_view verdict_names[] = {"drop", "accept", "pass", "hold"};
constexpr std::string_view name_of(Verdict verdict) {
  return verdict_names[static_cast<std::size_t>(verdict)];
}

// On the way out nothing may leave that is not translated. Elsewhere what cannot be translated is
// not the NAT's, which is another reason.
constexpr Reason not_on_the_way_out(Reason reason) {
  switch (reason) {
    case Reason::unsupported_protocol:
      return Reason::foreign_protocol;
    case Reason::icmp_unsupported:
      return Reason::foreign_icmp;
    case Reason::unknown_namespace:
      return Reason::foreign_fwmark;
    case Reason::tcp_not_syn:
      return Reason::foreign_segment;
    default:
      return reason;
  }
}

using Counters = std::array<std::uint64_t, reason_count>;  // packets by reason

}  // namespace swnat
