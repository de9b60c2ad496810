// The lines of `swnatctl top` as text.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tools/top_model.h"

namespace swnat::ctl {

// "7", "0.5", "1.23k", "45.6M": at most five characters up to a million millions.
std::string short_number(double number);

struct TopTable {
  std::string heads;
  std::vector<std::string> rows;
};
TopTable top_table(TopBy by, std::span<const TopLine* const> lines);

// All together, in one line.
std::string top_summary(const TopModel& model);

}  // namespace swnat::ctl
