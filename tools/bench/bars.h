// The bars: what the figures of a run are held against.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "tools/bench/run.h"

namespace swnat::bench {

// The figure that is furthest from its bar, of all that the bar is about.
struct Worst {
  double value = 0;
  std::string_view row;  // whose figure it is
  bool is_met = false;
};

inline constexpr std::string_view not_measured = "not measured";

struct BarResult {
  std::string_view name;
  std::string_view text;
  double limit = 0;
  std::optional<Worst> worst;
  std::string_view left_out;  // why there is no figure
};

// One for each bar. They refer to the rows of `run`.
std::vector<BarResult> held_against_bars(const Run& run);

}  // namespace swnat::bench
