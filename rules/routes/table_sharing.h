// Which namespaces need no route table of their own.
//
// Theory of operation
//
// Whenever a rule is added or removed the kernel visits all tables of IPv6 (fib6_flush_trees()),
// also those that became empty, which it keeps: with ten thousand tables and rules that took 18 s,
// and 20 s for `down`. But a namespace whose network overlaps no other one's can have its routes in
// a table that many share, if the rule that leads there asks for the destination as well as for the
// fwmark. IPv4 only counts up.
#pragma once

#include <cstdint>
#include <map>

#include "rules/config/config.h"
#include "rules/wanted/family.h"

namespace swnat::rules {

// The network of each namespace that shares, by its fwmark: those with interfaces and one network
// of the family, which overlaps no such other one.
std::map<std::uint32_t, IpNetwork> sharing_networks(const Config& config, Family family);

}  // namespace swnat::rules
