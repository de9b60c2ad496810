#include "rules/text/duration.h"

#include <charconv>
#include <cstdint>

namespace swnat::rules {
namespace {

struct Unit {
  char letter;
  std::int64_t seconds;
};
constexpr Unit units[] = {{'d', 86'400}, {'h', 3'600}, {'m', 60}, {'s', 1}};
constexpr std::int64_t longest = 36'525 * std::int64_t{86'400};

}  // namespace

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::int64_t total = 0;
  const Unit* unit = std::begin(units);
  while (!text.empty()) {
    std::uint32_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    if (text.empty()) return std::nullopt;
    while (unit != std::end(units) && unit->letter != text.front()) ++unit;
    if (unit == std::end(units)) return std::nullopt;
    total += number * unit->seconds;
    if (total > longest) return std::nullopt;
    ++unit;
    text.remove_prefix(1);
  }
  return std::chrono::seconds(total);
}

}  // namespace swnat::rules
