// What the kernel tells of nftables rules by netlink, at once and without any program: what they
// dropped themselves, by the named counters of table inet swnat, and whether they were changed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nfq/netlink_attributes.h"

namespace swnat::nfq {

struct RuleCounter {
  std::string name;
  std::uint64_t packets = 0;
};

// None if there is no such table, or no answer at once.
std::vector<RuleCounter> rule_counters();

// The number that the kernel gives to its nftables rules as a whole, another after each change.
std::optional<std::uint32_t> rules_generation();

// From one message of the answer; nothing if it is another object.
std::optional<RuleCounter> rule_counter(NetlinkBytes message);

}  // namespace swnat::nfq
