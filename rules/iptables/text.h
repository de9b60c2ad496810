// What sends packets to the queues, as rules for iptables and ip6tables, in chains of their own.
#pragma once

#include <vector>

#include "rules/config/config.h"
#include "rules/iptables/chains.h"

namespace swnat::rules {

// Of the families that the NAT translates.
std::vector<IptablesTable> iptables_tables(const Config& config);

}  // namespace swnat::rules
