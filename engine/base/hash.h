// Keyed hashing by folded 64×64-bit multiplication. Without the secret, nobody can aim keys at a
// bucket or foresee the numbers drawn.
#pragma once

#include <array>
#include <cstdint>

namespace swnat {

using Secret = std::array<std::uint64_t, 4>;

inline std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Words whose bits are as good as random ones, whatever the secret is: fold_multiply() mixes badly
// by numbers with few bits. Different secrets give different keys.
constexpr Secret keys_from(Secret secret) {
  std::uint64_t step = 0;
  for (std::uint64_t& word : secret) {
    step += 0x9e37'79b9'7f4a'7c15;
    word += step;
    word = (word ^ word >> 30) * 0xbf58'476d'1ce4'e5b9;  // SplitMix64
    word = (word ^ word >> 27) * 0x94d0'49bb'1331'11eb;
    word ^= word >> 31;
  }
  return secret;
}

// Numbers that cannot be foreseen from those drawn before without the secret (RFC 6056).
class Random {
 public:
  explicit Random(const Secret& secret) : key_{secret[2], secret[3]}, counter_(secret[0]) {}

  std::uint64_t next() {
    counter_ += 0x9e37'79b9'7f4a'7c15;
    return fold_multiply(fold_multiply(counter_ ^ key_[0], key_[1] | 1) ^ key_[1], key_[0] | 1);
  }

 private:
  std::array<std::uint64_t, 2> key_;
  std::uint64_t counter_;
};

}  // namespace swnat
