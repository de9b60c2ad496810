// What `down` finds that no record of `up` explains, for people.
#pragma once

#include <string>
#include <vector>

#include "rules/config/config.h"
#include "rules/found/queue_rules.h"

namespace swnat::rules {

// What looks like `up`'s own: "nft table inet swnat, 8 chains of iptables, 14 ip rules and 4
// routes". Empty if nothing does. Throws KernelError.
std::string remains_of_up();

// Where rules that are not `up`'s send packets to queues of this configuration:
// "chain incoming of nft table inet by_hand (queues 0, 1)". Each place once.
std::vector<std::string> others_that_queue(const std::vector<QueueRule>& rules,
                                           const Config& config);

}  // namespace swnat::rules
