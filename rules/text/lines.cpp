#include "rules/text/lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace swnat::rules {

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

void append_shortened(std::vector<std::string>& all, std::vector<std::string> lines,
                      std::string_view others) {
  constexpr std::size_t most = 3;
  // A line that says "1 other" could say which one.
  if (lines.size() > most + 1) {
    const std::size_t left_out = lines.size() - most;
    lines.resize(most);
    lines.push_back(fmt::format("{} other {}", left_out, others));
  }
  std::move(lines.begin(), lines.end(), std::back_inserter(all));
}

}  // namespace swnat::rules
