// Lines for people about what there may be thousands of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace swnat::rules {

// "1 route", "3 routes".
std::string counted(std::size_t count, std::string_view what);

// Adds lines of one kind: the first few, and how many `others` there are.
void append_shortened(std::vector<std::string>& all, std::vector<std::string> lines,
                      std::string_view others);

}  // namespace swnat::rules
