// Namespaces by their fwmarks, in as few rules as possible.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/iptables/chains.h"

namespace swnat::rules {

// Adds a chain of this name, and those below it: what has the fwmark of a namespace goes to
// `target`. A packet meets a few of its rules, however many namespaces there are.
void iptables_add_namespaces(std::vector<IptablesChain>& chains, const Config& config,
                             std::string_view name, std::string_view target);

// Matches that together are the range.
std::vector<std::string> iptables_range(const Config& config, const NamespaceRange& range);

}  // namespace swnat::rules
