// The daemon's numbers in the text format of Prometheus.
//
// Counters end in _total and count packets unless their HELP line says otherwise.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nfq/log_output.h"
#include "nfq/namespace_metrics.h"
#include "nfq/report.h"
#include "nfq/rule_counters.h"
#include "nfq/rule_keeper.h"
#include "rules/config/config.h"

namespace swnat::nfq {

// What the daemon itself knows at one moment.
struct DaemonNumbers {
  std::shared_ptr<const rules::Config> config;
  Time uptime{0};
  RuleStatus rules;
  std::vector<RuleCounter> dropped_by_rules;
  std::vector<QueueReport> queues;
  const LogCounters* log = nullptr;  // outlives this
};

class Metrics {
 public:
  // The engine must outlive it.
  Metrics(const Engine& engine, DaemonNumbers numbers);

  // Appends some whole lines, or none yet. False when they were the last. They come in pieces so
  // that nobody waits for long while they are made.
  bool append_piece(std::string& text);

 private:
  const Engine& engine_;
  DaemonNumbers numbers_;
  NamespaceMetrics namespaces_;
  std::size_t part_ = 0;
};

using MakeMetrics = std::function<Metrics()>;

}  // namespace swnat::nfq
