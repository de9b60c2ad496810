// Times as an operator writes them: "2h4m", "90s", "1d".
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace swnat::rules {

// Whole numbers with the units d, h, m and s, each at most once and the larger first. nullopt for
// anything else, and for what is longer than a century.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);

}  // namespace swnat::rules
