#include "nfq/metrics.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <span>
#include <utility>

#include "nfq/clock.h"
#include "nfq/counters.h"
#include "nfq/prometheus_text.h"
#include "nfq/protocol_name.h"

namespace swnat::nfq {
namespace {

// Those with most sessions have lines, where there are more.
constexpr std::size_t most_forwards = 500;

void append_daemon(std::string& text, const DaemonNumbers& numbers) {
  append_head(text, "swnat_build_info", "gauge", "always 1; the label tells the version");
  append(text, "swnat_build_info{{version=\"{}\"}} 1\n", SWNAT_VERSION);
  append_metric(text, "swnat_uptime_seconds", "gauge", "seconds since the daemon started",
                numbers.uptime.count() / 1000);
}

void append_sessions(std::string& text, const Engine& engine, const rules::Config& config) {
  append_metric(text, "swnat_table_sessions", "gauge",
                "sessions in the table, of all namespaces together", engine.session_count());
  append_metric(text, "swnat_max_sessions", "gauge", "sessions that the table has room for",
                config.max_sessions);
  append_head(text, "swnat_sessions_ended_total", "counter", "sessions that ended, by the cause");
  const EndCounts ended = engine.ended_sessions();
  for (std::size_t i = 1; i < ended.size(); ++i) {
    append(text, "swnat_sessions_ended_total{{cause=\"{}\"}} {}\n", end_cause_names[i], ended[i]);
  }
}

void append_packets(std::string& text, const Engine& engine) {
  append_head(text, "swnat_packets_total", "counter", "packets by what became of them");
  const Counters counters = engine.counters();
  for (std::size_t i = 0; i < counters.size(); ++i) {
    append(text, "swnat_packets_total{{reason=\"{}\",verdict=\"{}\"}} {}\n", reasons[i].name,
           name_of(reasons[i].verdict), counters[i]);
  }
}

void append_ports(std::string& text, const Engine& engine) {
  struct Gauge {
    std::string_view name;
    std::string_view help;
    std::uint32_t (*value)(const PortUse& use);
  };
  constexpr Gauge gauges[] = {
      {"swnat_ports_used", "external ports that mappings and forwards have",
       [](const PortUse& use) -> std::uint32_t { return use.used; }},
      {"swnat_ports_resting", "external ports that nobody gets for a while",
       [](const PortUse& use) -> std::uint32_t { return use.resting; }},
      {"swnat_ports_max", "external ports that there are, those withheld among them",
       [](const PortUse& use) -> std::uint32_t { return use.total(); }},
  };
  const std::vector<PortUse> ports = engine.ports(now());
  for (const Gauge& gauge : gauges) {
    append_head(text, gauge.name, "gauge", gauge.help);
    for (const PortUse& use : ports) {
      append(text, "{}{{address=\"{}\",protocol=\"{}\"}} {}\n", gauge.name, to_text(use.external),
             protocol_name(use.protocol), gauge.value(use));
    }
  }
}

struct KernelGauge {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  std::uint64_t (*value)(const KernelQueue& queue);
};

constexpr KernelGauge kernel_gauges[] = {
    {"swnat_queue_waiting", "gauge", "packets that wait in the kernel for a verdict",
     [](const KernelQueue& queue) -> std::uint64_t { return queue.waiting; }},
    {"swnat_queue_dropped_full_total", "counter",
     "packets that the kernel dropped because queue.max_packets were waiting",
     [](const KernelQueue& queue) { return queue.dropped_full; }},
    {"swnat_queue_dropped_overflow_total", "counter",
     "packets that the kernel dropped because the socket's buffer was full",
     [](const KernelQueue& queue) { return queue.dropped_overflow; }},
};

void append_queues(std::string& text, std::span<const QueueReport> queues) {
  for (std::size_t i = 0; i < queue_counter_count; ++i) {
    const auto name = fmt::format("swnat_queue_{}_total", queue_counter_infos[i].name);
    append_head(text, name, "counter", queue_counter_infos[i].text);
    for (const QueueReport& queue : queues) {
      append(text, "{}{{queue=\"{}\"}} {}\n", name, queue.number, queue.counts[i]);
    }
  }
  for (const KernelGauge& gauge : kernel_gauges) {
    append_head(text, gauge.name, gauge.type, gauge.help);
    for (const QueueReport& queue : queues) {
      if (!queue.kernel) continue;
      append(text, "{}{{queue=\"{}\"}} {}\n", gauge.name, queue.number, gauge.value(*queue.kernel));
    }
  }
  append_head(text, "swnat_worker_silence_seconds", "gauge",
              "how long ago the queue's thread was last seen to go on; more than 2 is stuck");
  for (const QueueReport& queue : queues) {
    append(text, "swnat_worker_silence_seconds{{queue=\"{}\"}} {:.3f}\n", queue.number,
           std::chrono::duration<double>(queue.silence).count());
  }
}

void append_rules(std::string& text, const DaemonNumbers& numbers) {
  using rules::RuleState;
  const RuleStatus& status = numbers.rules;
  append_metric(text, "swnat_rules_as_configured", "gauge",
                "1 if the kernel has what the last `up` with this configuration left there, else 0",
                status.seen.state == RuleState::as_configured ? 1 : 0);
  append_head(text, "swnat_rules_state", "gauge", "1 for the state that the rules are in, else 0");
  for (const RuleState each : {RuleState::as_configured, RuleState::differ, RuleState::missing}) {
    append(text, "swnat_rules_state{{state=\"{}\"}} {}\n", state_name(each),
           status.seen.state == each ? 1 : 0);
  }
  append_metric(text, "swnat_rules_repairs_total", "counter",
                "times that rules, routes or sysctls were put back", status.repairs);
  append_metric(text, "swnat_rules_unread_queues", "gauge",
                "queues that rules of others name and that nobody reads", status.unread_queues);
  append_head(text, "swnat_rules_dropped_total", "counter",
              "packets that the rules dropped themselves");
  for (const RuleCounter& each : numbers.dropped_by_rules) {
    append(text, "swnat_rules_dropped_total{{counter=\"{}\"}} {}\n", label(each.name),
           each.packets);
  }
}

void append_log(std::string& text, const LogCounters& counters) {
  struct Metric {
    std::string_view name;
    std::string_view help;
    std::atomic<std::uint64_t> LogOutputCounters::*value;
  };
  constexpr Metric metrics[] = {
      {"swnat_log_output_records_total", "records that the output took",
       &LogOutputCounters::records},
      {"swnat_log_output_lost_total", "records that the output did not take",
       &LogOutputCounters::lost},
      {"swnat_log_output_errors_total", "attempts to write to the output that failed",
       &LogOutputCounters::errors},
  };
  append_head(text, "swnat_log_records_total", "counter", "records of the mapping log");
  append(text, "swnat_log_records_total {}\n", counters.records.load());
  append_head(text, "swnat_log_lost_total", "counter",
              "events that the mapping log was to record and that found no room");
  append(text, "swnat_log_lost_total {}\n", counters.lost.load());
  for (const Metric& metric : metrics) {
    append_head(text, metric.name, "counter", metric.help);
    for (std::size_t i = 0; i < log_output_count; ++i) {
      append(text, "{}{{output=\"{}\"}} {}\n", metric.name, log_output_names[i],
             (counters.outputs[i].*metric.value).load());
    }
  }
}

std::vector<ForwardUse> busiest_forwards(const Engine& engine) {
  std::vector<ForwardUse> forwards = engine.forwards();
  if (forwards.size() <= most_forwards) return forwards;
  std::ranges::stable_sort(forwards, std::ranges::greater{}, &ForwardUse::sessions);
  forwards.resize(most_forwards);
  return forwards;
}

void append_forwards(std::string& text, const Engine& engine, const rules::Config& config) {
  struct Gauge {
    std::string_view name;
    std::string_view help;
    std::uint32_t ForwardUse::*value;
  };
  constexpr Gauge gauges[] = {
      {"swnat_forward_sessions", "sessions that came in by a forward with a limit of its own",
       &ForwardUse::sessions},
      {"swnat_forward_session_limit", "sessions that may come in by the forward",
       &ForwardUse::session_limit},
  };
  const std::vector<ForwardUse> forwards = busiest_forwards(engine);
  for (const Gauge& gauge : gauges) {
    append_head(text, gauge.name, "gauge", gauge.help);
    for (const ForwardUse& use : forwards) {
      append(text, "{}{{namespace=\"{}\",protocol=\"{}\",external=\"{}\"}} {}\n", gauge.name,
             label(rules::namespace_name(config, use.namespace_id)), protocol_name(use.protocol),
             to_text(use.external), use.*gauge.value);
    }
  }
}

void append_counts(std::string& text, const NamespaceMetrics& namespaces) {
  append_metric(text, "swnat_namespaces", "gauge", "namespaces that there are", namespaces.count());
  append_metric(text, "swnat_namespaces_shown", "gauge",
                "namespaces that have metrics here: all, or those that translated most bytes",
                namespaces.shown());
}

}  // namespace

Metrics::Metrics(const Engine& engine, DaemonNumbers numbers)
    : engine_(engine), numbers_(std::move(numbers)), namespaces_(engine, numbers_.config) {}

bool Metrics::append_piece(std::string& text) {
  switch (part_++) {
    case 0:
      append_daemon(text, numbers_);
      append_sessions(text, engine_, *numbers_.config);
      append_packets(text, engine_);
      return true;
    case 1:
      append_rules(text, numbers_);
      append_queues(text, numbers_.queues);
      if (numbers_.log != nullptr) append_log(text, *numbers_.log);
      return true;
    case 2:
      if (namespaces_.read_piece()) --part_;
      return true;
    case 3:
      append_ports(text, engine_);
      append_forwards(text, engine_, *numbers_.config);
      append_counts(text, namespaces_);
      return true;
    default:
      return namespaces_.append_piece(text);
  }
}

}  // namespace swnat::nfq
