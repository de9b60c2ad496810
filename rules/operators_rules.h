// What namespaces without interfaces need of the operator's own rules: somebody must give their
// packets a fwmark, keep their fragments apart, and route what comes back.
//
// Only what can be known is told: what no rule does at all. Rules that may do it, for all that can
// be seen of them, are believed; and programs can mark packets without any rule (tc, eBPF).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "rules/config.h"
#include "rules/family.h"

namespace swnat::rules {

// As programs print them; the arrays by family.
struct PrintedRules {
  std::string nft;                      // nft -t -j list ruleset
  std::array<std::string, 2> iptables;  // iptables-save
  std::array<std::string, 2> routing;   // ip -N -json rule show
};

// A line for each thing that is missing.
std::vector<std::string> missing_operators_rules(const Config& config, const PrintedRules& printed);

// The same of what is in the kernel now. Asks nobody where all namespaces have interfaces. Throws
// KernelError.
std::vector<std::string> missing_operators_rules(const Config& config);

}  // namespace swnat::rules
