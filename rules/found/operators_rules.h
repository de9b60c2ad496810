// What namespaces without interfaces need of the operator's own rules: somebody must give their
// packets a fwmark, keep their fragments apart, and route what comes back.
//
// Only what can be known is told: what no rule does at all. Rules that may do it, for all that can
// be seen of them, are believed; and programs can mark packets without any rule (tc, eBPF).
#pragma once

#include <string>
#include <vector>

#include "rules/config/config.h"
#include "rules/found/printed_rules.h"

namespace swnat::rules {

// Whether there are namespaces without interfaces.
bool needs_operators_rules(const Config& config);

// A line for each thing that is missing; of thousands of a kind, how many.
std::vector<std::string> missing_operators_rules(const Config& config, const PrintedRules& printed);

}  // namespace swnat::rules
