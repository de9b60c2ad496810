// What the rules themselves dropped: the named counters of table inet swnat.
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

// Asks the kernel, without any program; none if it has no such table or does not answer at once.
std::vector<RuleCounter> rule_counters();

// From one message of the answer; nothing if it is another object.
std::optional<RuleCounter> rule_counter(NetlinkBytes message);

}  // namespace swnat::nfq
