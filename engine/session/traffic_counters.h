// Counters of a session's packets and bytes that cost an established packet one addition.
//
// Theory of operation
//
// Each direction has a 32-bit word in the session's record, in the line that a packet writes
// anyway: packets in the upper 8 bits, their bytes in the lower 24. So a packet is one addition.
// 255 packets have less than 2^24 bytes, however long they are, so that the word overflows with the
// 256th packet, never before and never later. Then that is noted in wide counters, which lie apart:
// once more 256 packets, and so many blocks of bytes; what is no whole block stays in the word. So
// nothing is counted twice and nothing is lost, and the wide counters need few bits for much.
#pragma once

#include <cstdint>

#include "swnat/traffic.h"

namespace swnat {

// Of one direction: what is not in the wide counters. Zeroed memory is none.
class RecentTraffic {
 public:
  static constexpr std::uint32_t packets_per_overflow = 256;
  static constexpr std::uint32_t block_bytes = 1u << 15;
  // No IP packet is longer: an IPv6 header and what its length field can say.
  static constexpr std::uint32_t length_max = 40 + 0xffff;

  // True with every 256th packet: then take_blocks() has to follow, before anything else.
  bool add(std::uint32_t length) {
    return __builtin_add_overflow(word_, one_packet + length, &word_);
  }
  // How many blocks of bytes are moved, together with 256 packets.
  std::uint32_t take_blocks() {
    const std::uint32_t blocks = word_ / block_bytes;
    word_ %= block_bytes;
    return blocks;
  }

  Traffic traffic() const { return {word_ / one_packet, word_ % one_packet}; }

 private:
  static constexpr std::uint32_t one_packet = 1u << 24;
  static_assert((packets_per_overflow - 1) * length_max + block_bytes - 1 < one_packet);
  static_assert(std::uint64_t{packets_per_overflow} * one_packet == std::uint64_t{1} << 32);

  std::uint32_t word_;
};

// Of both directions: what has overflowed. Up to 2^48 packets and 2^55 bytes each, for which 100
// gigabits a second take a month. Zeroed memory is nothing.
class OverflowedTraffic {
 public:
  void add(bool is_inbound, std::uint32_t blocks) {
    add_to(times, is_inbound, 1);
    add_to(block_count, is_inbound, blocks);
  }

  Traffic traffic(bool is_inbound) const {
    return {get(times, is_inbound) * RecentTraffic::packets_per_overflow,
            get(block_count, is_inbound) * RecentTraffic::block_bytes};
  }

 private:
  enum What : std::uint8_t { times, block_count };

  std::uint64_t get(What what, bool is_inbound) const {
    return std::uint64_t{high_[what][is_inbound]} << 32 | low_[what][is_inbound];
  }
  void add_to(What what, bool is_inbound, std::uint32_t more) {
    const std::uint64_t sum = get(what, is_inbound) + more;
    low_[what][is_inbound] = static_cast<std::uint32_t>(sum);
    high_[what][is_inbound] = static_cast<std::uint8_t>(sum >> 32);
  }

  // 40 bits of each.
  std::uint32_t low_[2][2];
  std::uint8_t high_[2][2];
};
static_assert(sizeof(OverflowedTraffic) == 20);

}  // namespace swnat
