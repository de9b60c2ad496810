// The table `raw`: what comes in, and what the gateway sends to itself, before conntrack sees it.
#pragma once

#include "rules/config/config.h"
#include "rules/iptables/chains.h"

namespace swnat::rules {

IptablesTable iptables_raw_table(const Config& config, Family family);

}  // namespace swnat::rules
