// The rules of anybody's, as programs print them: what several looks at others' rules are made of.
#pragma once

#include <array>
#include <string>

#include "rules/config/config.h"

namespace swnat::rules {

// The arrays by family. What cannot be asked, such as iptables that is not installed, is empty.
struct PrintedRules {
  std::string nft;                      // nft -t -j list ruleset
  std::array<std::string, 2> iptables;  // iptables-save
  std::array<std::string, 2> routing;   // ip -N -json rule show
};

// Those in the kernel now; `routing` only where namespaces without interfaces need it. Throws
// KernelError.
PrintedRules printed_rules(const Config& config);

}  // namespace swnat::rules
