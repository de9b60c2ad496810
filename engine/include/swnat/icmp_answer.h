// What a sender is told when no session can be made of its packet: ICMP Destination Unreachable,
// communication administratively prohibited (RFC 5508 REQ-8, RFC 6888 REQ-11). Whoever uses the
// engine sends it to where the packet came from, at a limited rate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "swnat/address.h"
#include "swnat/reason.h"

namespace swnat {

// The reasons to drop a packet from inside of which its sender should know: what it asks for is
// right, but there is no more of it. Packets from outside are never answered (RFC 5382 REQ-4).
constexpr bool deserves_answer(Reason reason) {
  return reason == Reason::session_limit || reason == Reason::port_limit ||
         reason == Reason::table_full || reason == Reason::no_free_port ||
         reason == Reason::remote_in_use;
}

// RFC 1812 section 4.3.2.3 and RFC 4443 section 3.1: so much of the packet is quoted that the
// answer is no longer than this.
inline constexpr std::size_t ipv4_answer_max = 576;
inline constexpr std::size_t ipv6_answer_max = 1280;

// Writes the answer to a packet as its sender sent it, an IP packet from `source` with right
// lengths and checksums, and returns its size. 0 and nothing written if the packet is of another
// family, or must not be answered (RFC 1122 section 3.2.2, RFC 4443 section 2.4): it is an ICMP
// error or a later fragment, or an address is not one host's. The answer does not overlap the
// packet.
std::size_t write_icmp_answer(std::span<const std::uint8_t> packet, Ipv4Address source,
                              std::span<std::uint8_t, ipv4_answer_max> answer);
std::size_t write_icmp_answer(std::span<const std::uint8_t> packet, const Ipv6Address& source,
                              std::span<std::uint8_t, ipv6_answer_max> answer);

}  // namespace swnat
