// Bringing the kernel's iptables rules to what is wanted.
#pragma once

#include <string>
#include <vector>

#include "rules/iptables/chains.h"

namespace swnat::rules {

// Leaves exactly these chains of ours, each table in one transaction, and the jump to the first of
// them once; with no tables, none. A family of which nothing is wanted or there needs no program.
// Throws KernelError.
void apply_iptables(const std::vector<IptablesTable>& wanted);

// The built-in chains that apply_iptables() would make: those that do not exist yet where iptables
// works on top of nft. As in "ip raw PREROUTING".
std::vector<std::string> missing_iptables_chains(const std::vector<IptablesTable>& wanted);

// Removes those of these built-in chains that hold no rules, and their tables where nothing else is
// in them.
void remove_made_chains(const std::vector<std::string>& chains);

// Throws KernelError if the kernel cannot send packets of the family from iptables rules to a
// queue.
void require_iptables_queue(Family family);

}  // namespace swnat::rules
