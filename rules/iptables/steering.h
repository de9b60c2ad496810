// Rules that send packets to the queues.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rules/config/config.h"
#include "rules/iptables/chains.h"

namespace swnat::rules {

std::string iptables_first_queue(const Config& config);

// Sends all that enters it to the queue that the bits of `field` name, which u32 reads.
IptablesChain iptables_steering_chain(const Config& config, std::string_view name,
                                      std::string_view field);

}  // namespace swnat::rules
