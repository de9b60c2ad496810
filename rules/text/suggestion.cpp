#include "rules/text/suggestion.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>

namespace swnat::rules {
namespace {

constexpr std::size_t longest_word = 32;
constexpr std::size_t most_words = 4096;

using DistanceRow = std::array<std::size_t, longest_word + 1>;

// Changes of single letters, and of the places of two neighbours, each at most once (optimal string
// alignment). Both are at most `longest_word` long.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  DistanceRow before_last{};
  DistanceRow last{};
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    DistanceRow row{};
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      const bool are_swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (are_swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last = last;
    last = row;
  }
  return last[b.size()];
}

}  // namespace

std::string_view nearest_word(std::string_view given, std::span<const std::string_view> words) {
  if (given.size() > longest_word) return "";
  std::string_view nearest;
  std::size_t least = std::max<std::size_t>(1, given.size() / 3) + 1;
  for (const std::string_view word : words.first(std::min(words.size(), most_words))) {
    const std::size_t shorter = std::min(given.size(), word.size());
    if (word.size() > longest_word || std::max(given.size(), word.size()) - shorter >= least) {
      continue;
    }
    const std::size_t distance = edit_distance(given, word);
    if (distance >= least) continue;
    least = distance;
    nearest = word;
  }
  return nearest;
}

std::string did_you_mean(std::string_view given, std::span<const std::string_view> words,
                         char quote) {
  const std::string_view nearest = nearest_word(given, words);
  if (nearest.empty()) return "";
  return fmt::format("; did you mean {}{}{}?", quote, nearest, quote);
}

}  // namespace swnat::rules
