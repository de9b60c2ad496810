// The Internet checksum (RFC 1071): whole sums, and changes to a sum (RFC 1624).
//
// Every sum here is the one's-complement sum of 16-bit words as they lie in memory, which is the
// same whatever the byte order of the machine (RFC 1071 section 2B). Nothing here is inverted
// unless it says so.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace swnat {

// Folds to 16 bits. A sum of non-zero words never folds to 0. Each half is added to the other: the
// carry of the lower addition is the end-around carry of the upper one.
constexpr std::uint16_t fold(std::uint64_t sum) {
  sum += std::rotl(sum, 32);
  auto half = static_cast<std::uint32_t>(sum >> 32);
  half += std::rotl(half, 16);
  return static_cast<std::uint16_t>(half >> 16);
}

// The sum of up to 64 KiB at any alignment; an odd last byte is padded with zero. Not folded, so
// that several may be added: pieces before the last must have an even length.
std::uint64_t sum_of(std::span<const std::uint8_t> bytes);

// The ways to compute sum_of that this processor knows, of which sum_of takes the fastest. For
// tests alone, which would otherwise see but one of them.
struct SumVersion {
  const char* name;
  std::uint64_t (*sum_of)(std::span<const std::uint8_t> bytes);
};
std::vector<SumVersion> sum_versions();

// What a sum grows by when words are replaced. Negate with ~ for the way back.
using ChecksumDelta = std::uint16_t;

// Both are sums of less than 48 bits.
constexpr ChecksumDelta delta_of(std::uint64_t before, std::uint64_t after) {
  constexpr std::uint64_t zero = 0xffff'ffff'ffff;  // as a one's-complement sum
  return fold(zero - before + after);
}

// The sum of two words that are sums already.
constexpr std::uint16_t add(std::uint16_t a, std::uint16_t b) {
  const std::uint32_t sum = std::uint32_t{a} + b;
  return static_cast<std::uint16_t>(sum + (sum >> 16));
}

// A checksum field (inverted sum) after the words it covers changed by `delta`: RFC 1624
// equation 3.
constexpr std::uint16_t updated(std::uint16_t field, ChecksumDelta delta) {
  return static_cast<std::uint16_t>(~add(static_cast<std::uint16_t>(~field), delta));
}

}  // namespace swnat
