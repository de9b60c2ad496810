#include "engine/ports/block_units.h"

#include <bit>

namespace swnat {

BlockUnits BlockUnits::runs(const BlockUnits& wanted, std::uint32_t size) const {
  // The bits 0, size, 2 * size, …
  const std::uint64_t aligned =
      size == 64 ? 1 : ~std::uint64_t{0} / ((std::uint64_t{1} << size) - 1);
  BlockUnits begin;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    std::uint64_t all = words_[i];
    std::uint64_t any = wanted.words_[i];
    for (std::uint32_t step = 1; step < size; step *= 2) {
      all &= all >> step;
      any |= any >> step;
    }
    begin.words_[i] = all & any & aligned;
  }
  return begin;
}

BlockUnits BlockUnits::tightest(const BlockUnits& wanted, std::uint32_t size,
                                std::uint32_t largest) const {
  const BlockUnits all = runs(wanted, size);
  for (std::uint32_t larger = 2 * size; larger <= largest; larger *= 2) {
    BlockUnits covered = runs(*this, larger);
    for (std::uint64_t& word : covered.words_) {
      for (std::uint32_t step = 1; step < larger; step *= 2) word |= word << step;
    }
    BlockUnits apart = all;
    apart.remove(covered);
    if (!apart.is_empty()) return apart;
  }
  return all;
}

std::optional<std::uint32_t> BlockUnits::draw(std::uint32_t random) {
  std::uint32_t total = 0;
  for (const std::uint64_t word : words_) total += static_cast<std::uint32_t>(std::popcount(word));
  if (total == 0) return {};
  auto skipped = static_cast<std::uint32_t>(std::uint64_t{random} * total >> 32);
  std::size_t i = 0;
  while (skipped >= static_cast<std::uint32_t>(std::popcount(words_[i]))) {
    skipped -= static_cast<std::uint32_t>(std::popcount(words_[i++]));
  }
  std::uint64_t left = words_[i];
  for (; skipped != 0; --skipped) left &= left - 1;
  const auto bit = static_cast<std::uint32_t>(std::countr_zero(left));
  words_[i] &= ~(std::uint64_t{1} << bit);
  return static_cast<std::uint32_t>(i) * 64 + bit;
}

}  // namespace swnat
