// The protocols that are translated, and others that are known, by their numbers.
#pragma once

#include <cstdint>

namespace swnat {

// IP protocol numbers; in IPv6 also of extension headers.
namespace protocol {
inline constexpr std::uint8_t hop_by_hop = 0;
inline constexpr std::uint8_t icmp = 1;
inline constexpr std::uint8_t ipip = 4;
inline constexpr std::uint8_t tcp = 6;
inline constexpr std::uint8_t udp = 17;
inline constexpr std::uint8_t ipv6 = 41;
inline constexpr std::uint8_t routing = 43;
inline constexpr std::uint8_t fragment = 44;
inline constexpr std::uint8_t gre = 47;
inline constexpr std::uint8_t esp = 50;
inline constexpr std::uint8_t icmpv6 = 58;
inline constexpr std::uint8_t destination_options = 60;
inline constexpr std::uint8_t l2tp = 115;
inline constexpr std::uint8_t sctp = 132;

// Those whose packets stay right when only their addresses change: neither a checksum nor a
// signature covers these.
constexpr bool is_portless(std::uint8_t number) {
  return number == gre || number == esp || number == sctp || number == ipip || number == ipv6 ||
         number == l2tp;
}
}  // namespace protocol

}  // namespace swnat
