// A tree over strings of bits, such as fwmarks and networks: whoever has one of them finds it in a
// few short lists, however many there are.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "rules/wanted/family.h"

namespace swnat::rules {

// The first `length` bits, the others zero. Networks are strings of bits, and so are fwmarks, of
// 32 bits.
struct BitString {
  std::array<std::uint8_t, 16> octets{};
  unsigned length = 0;

  friend auto operator<=>(const BitString&, const BitString&) = default;
};
BitString bits_of(std::uint32_t fwmark);
BitString bits_of(const IpNetwork& network);
IpNetwork network_of(const BitString& bits, Family family);

// Whether the other one begins with it, or is it.
bool holds(const BitString& wide, const BitString& other);

// The first four octets as a number.
std::uint32_t number_of(const BitString& bits);

// What is met one by one at a place in the tree.
struct BitNode {
  BitString prefix;  // that all below begin with
  std::vector<BitString> leaves;
  std::vector<BitNode> children;
};

// Lists are no longer than this, unless a network among the strings holds others.
inline constexpr std::size_t bit_list_max = 16;

BitNode bit_tree(std::vector<BitString> all);

}  // namespace swnat::rules
