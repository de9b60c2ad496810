// Some of the units that port blocks are made of (port_blocks.h): all ports, 64 to a unit, one bit
// for each unit.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "swnat/policy.h"

namespace swnat {

// Units one after the other, as many as a power of two, beginning at a multiple of that.
struct UnitRun {
  static constexpr std::uint32_t unit_size = port_block_min;
  static constexpr std::uint32_t low_units = 1024 / unit_size;  // RFC 4787 REQ-3

  std::uint32_t first;
  std::uint32_t count;

  static UnitRun around(std::uint16_t port, std::uint32_t count) {
    return {(port / unit_size) & ~(count - 1), count};
  }
  PortRange ports() const {
    return {static_cast<std::uint16_t>(first * unit_size),
            static_cast<std::uint16_t>((first + count) * unit_size - 1)};
  }
};

class BlockUnits {
 public:
  static constexpr std::uint32_t count = 65'536 / UnitRun::unit_size;

  void add(const UnitRun& run) { words_[run.first / 64] |= bits_of(run); }
  void remove(const UnitRun& run) { words_[run.first / 64] &= ~bits_of(run); }
  bool has_all(const UnitRun& run) const { return (word_of(run) & bits_of(run)) == bits_of(run); }
  void remove(const BlockUnits& others) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= ~others.words_[i];
  }
  BlockUnits common_with(const BlockUnits& others) const {
    BlockUnits both = *this;
    for (std::size_t i = 0; i < words_.size(); ++i) both.words_[i] &= others.words_[i];
    return both;
  }
  bool is_empty() const { return words_ == decltype(words_){}; }
  bool has_any(const UnitRun& run) const { return (word_of(run) & bits_of(run)) != 0; }

  // Where the runs of so many units begin that are all of these, and of which `wanted` has any.
  BlockUnits runs(const BlockUnits& wanted, std::uint32_t size) const;

  // Of these runs those that lie in the smallest runs of all of these, of up to `largest` units: so
  // that larger ones are not broken up needlessly.
  BlockUnits tightest(const BlockUnits& wanted, std::uint32_t size, std::uint32_t largest) const;

  // One of the units, as evenly as `random` is, which then is none of them any more.
  std::optional<std::uint32_t> draw(std::uint32_t random);

 private:
  // A run lies within a word.
  static_assert(port_block_max / UnitRun::unit_size <= 64);

  static constexpr std::uint64_t bits_of(const UnitRun& run) {
    return ~std::uint64_t{0} >> (64 - run.count) << run.first % 64;
  }
  std::uint64_t word_of(const UnitRun& run) const { return words_[run.first / 64]; }

  std::array<std::uint64_t, count / 64> words_{};
};

}  // namespace swnat
