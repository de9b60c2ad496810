// A configuration file with faults, and what is to be said about it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"

namespace swnat::rules {

struct Case {
  std::string name;
  std::string text;
  std::vector<std::string> expected;  // as "LINE: message"
};

void check(const std::vector<Case>& cases);

// The errors that a file with this text has, as "LINE: message".
std::vector<std::string> faults(std::string_view text);

// Six lines without a fault; what a case adds begins in line 7.
std::string base(std::string_view more);

// Another namespace, its name in line 8 and its fwmark in line 9; more begins in line 10.
std::string second(std::string_view name, std::string_view fwmark, std::string_view more = "");

// The [external] table alone is the case's; its line 1 is "[external]".
std::string external(std::string_view lines);

// The same, with its addresses in line 3; more begins in line 4.
std::string wan(std::string_view addresses, std::string_view more = "");

}  // namespace swnat::rules
