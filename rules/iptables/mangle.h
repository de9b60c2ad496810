// The table `mangle`: what a tenant sends to the outside, last before it leaves.
#pragma once

#include "rules/config/config.h"
#include "rules/iptables/chains.h"

namespace swnat::rules {

IptablesTable iptables_mangle_table(const Config& config, Family family);

}  // namespace swnat::rules
