// Which rules of anybody's, made by `up`, by hand or by another program, send packets to queues.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/found/printed_rules.h"
#include "rules/wanted/family.h"

namespace swnat::rules {

struct QueueRule {
  std::string
      where;  // "chain incoming of nft table inet swnat", "chain PREROUTING of iptables raw"
  std::vector<std::uint16_t> queues;
  bool is_ours = false;  // in a chain of `up`'s

  friend bool operator==(const QueueRule&, const QueueRule&) = default;
};

// Whether the daemon of this configuration reads it.
bool is_daemons_queue(std::uint16_t queue, const Config& config);

std::vector<QueueRule> queue_rules(const PrintedRules& printed);

// The parts of it. Rules of iptables that nft lists too are not in the first.
std::vector<QueueRule> nft_queue_rules(std::string_view printed);
std::vector<QueueRule> iptables_queue_rules(std::string_view printed, Family family);

}  // namespace swnat::rules
