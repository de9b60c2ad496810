// Where things are in IPv4, TCP, UDP and ICMP headers. Sizes and offsets are in bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swnat {

namespace protocol {
inline constexpr std::uint8_t icmp = 1;
inline constexpr std::uint8_t tcp = 6;
inline constexpr std::uint8_t udp = 17;
}  // namespace protocol

// RFC 791
inline constexpr std::size_t ipv4_header_min = 20;
inline constexpr std::uint16_t ipv4_more_fragments = 0x2000;
inline constexpr std::uint16_t ipv4_fragment_offset = 0x1fff;

// RFC 9293
inline constexpr std::size_t tcp_header_min = 20;
inline constexpr std::size_t tcp_checksum_offset = 16;
inline constexpr std::uint8_t tcp_scale_max = 14;  // RFC 7323 section 2.3
namespace tcp_flag {
inline constexpr std::uint8_t fin = 0x01;
inline constexpr std::uint8_t syn = 0x02;
inline constexpr std::uint8_t rst = 0x04;
inline constexpr std::uint8_t ack = 0x10;
}  // namespace tcp_flag

// RFC 768
inline constexpr std::size_t udp_header_size = 8;
inline constexpr std::size_t udp_checksum_offset = 6;

// RFC 792
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

}  // namespace swnat
