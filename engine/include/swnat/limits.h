// How much an engine can be asked for, and which of its shards a packet meets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swnat {

inline constexpr std::uint32_t shards_max = 64;          // a power of two
inline constexpr std::uint32_t sessions_max = 1u << 28;  // of an engine
inline constexpr std::uint32_t namespaces_max = 65'536;  // of all policies that an engine ever has
inline constexpr std::size_t external_addresses_max = 64;  // of a family
inline constexpr std::size_t port_ranges_max = 64;
inline constexpr std::uint32_t port_block_min = 64;
inline constexpr std::uint32_t port_block_max = 4096;

// Whoever spreads packets over threads by these bits of the port has each shard used by one of
// them: of the internal port or ICMP identifier on the way out, of the external one on the way in.
// `shards` is a power of two. Bit 0 is left out: Linux clients prefer even ports, and RTP and RTCP
// use pairs.
constexpr std::uint32_t shard_bits(std::uint32_t shards) {
  return (shards - 1) << 1;
}
constexpr std::uint32_t shard_of_port(std::uint16_t port, std::uint32_t shards) {
  return (port & shard_bits(shards)) >> 1;
}

}  // namespace swnat
