// Where things are in IP, TCP, UDP and ICMP headers. Sizes and offsets are in bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "swnat/protocol.h"

namespace swnat {

inline constexpr std::size_t datagram_max = 65'535;

// RFC 791
inline constexpr std::size_t ipv4_header_min = 20;
inline constexpr std::size_t ipv4_identification_offset = 4;
inline constexpr std::uint16_t ipv4_dont_fragment = 0x4000;
inline constexpr std::uint16_t ipv4_more_fragments = 0x2000;
inline constexpr std::uint16_t ipv4_fragment_offset = 0x1fff;  // in units of 8 bytes

// RFC 8200
inline constexpr std::size_t ipv6_header_size = 40;
inline constexpr std::size_t ipv6_fragment_header_size = 8;
inline constexpr std::size_t ipv6_fragment_identification_offset = 4;
inline constexpr std::uint16_t ipv6_more_fragments = 0x0001;
inline constexpr std::uint16_t ipv6_fragment_offset = 0xfff8;  // in bytes

// RFC 9293
inline constexpr std::size_t tcp_header_min = 20;
inline constexpr std::size_t tcp_checksum_offset = 16;
inline constexpr std::uint8_t tcp_scale_max = 14;  // RFC 7323 section 2.3
inline constexpr std::uint8_t no_tcp_scale = 15;   // where a SYN has no window scale option
namespace tcp_flag {
inline constexpr std::uint8_t fin = 0x01;
inline constexpr std::uint8_t syn = 0x02;
inline constexpr std::uint8_t rst = 0x04;
inline constexpr std::uint8_t ack = 0x10;
}  // namespace tcp_flag

// RFC 768
inline constexpr std::size_t udp_header_size = 8;
inline constexpr std::size_t udp_checksum_offset = 6;

// RFC 792 and RFC 4443, which have the same layout
inline constexpr std::size_t icmp_header_size = 8;
inline constexpr std::size_t icmp_checksum_offset = 2;
inline constexpr std::size_t icmp_identifier_offset = 4;
namespace icmp_type {
inline constexpr std::uint8_t echo_reply = 0;
inline constexpr std::uint8_t unreachable = 3;
inline constexpr std::uint8_t echo_request = 8;
inline constexpr std::uint8_t time_exceeded = 11;
inline constexpr std::uint8_t parameter_problem = 12;
}  // namespace icmp_type
namespace icmp_code {
inline constexpr std::uint8_t prohibited = 13;  // of unreachable: RFC 1812 section 5.2.7.1
}
namespace icmpv6_type {
inline constexpr std::uint8_t unreachable = 1;
inline constexpr std::uint8_t packet_too_big = 2;
inline constexpr std::uint8_t time_exceeded = 3;
inline constexpr std::uint8_t parameter_problem = 4;
inline constexpr std::uint8_t echo_request = 128;
inline constexpr std::uint8_t echo_reply = 129;
}  // namespace icmpv6_type
namespace icmpv6_code {
inline constexpr std::uint8_t prohibited = 1;  // of unreachable
}

}  // namespace swnat
