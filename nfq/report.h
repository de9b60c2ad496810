// Counters as text for the log.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nfq/counters.h"
#include "nfq/queue_table.h"
#include "nfq/rule_counters.h"
#include "swnat/engine.h"
#include "swnat/time.h"

namespace swnat::nfq {

struct QueueReport {
  std::uint16_t number = 0;
  QueueCounts counts{};
  Time silence{0};                    // since its worker was last seen to go on
  std::optional<KernelQueue> kernel;  // what the kernel says of it
};

// Lines without the last line's end; reasons, counters of the rules and of queues that are 0 are
// left out.
std::string counters_text(const Counters& packets, const std::vector<RuleCounter>& dropped,
                          const std::vector<QueueReport>& queues);

}  // namespace swnat::nfq
