#include "nfq/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "nfq/counters.h"
#include "nfq/daemon.h"
#include "nfq/protocol_name.h"
#include "nfq/rule_counters.h"

namespace swnat::nfq {
namespace {

constexpr std::size_t namespaces_per_piece = 256;

template <class... Args>
void append(std::string& text, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
}

void head(std::string& text, std::string_view name, std::string_view type, std::string_view help) {
  append(text, "# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

std::string label(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\\' || c == '"') escaped += '\\';
    escaped += c;
  }
  return escaped;
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
    head(text, name, "counter", queue_counter_infos[i].text);
    for (const QueueReport& queue : queues) {
      append(text, "{}{{queue=\"{}\"}} {}\n", name, queue.number, queue.counts[i]);
    }
  }
  for (const KernelGauge& gauge : kernel_gauges) {
    head(text, gauge.name, gauge.type, gauge.help);
    for (const QueueReport& queue : queues) {
      if (!queue.kernel) continue;
      append(text, "{}{{queue=\"{}\"}} {}\n", gauge.name, queue.number, gauge.value(*queue.kernel));
    }
  }
}

void append_rules(std::string& text, const RuleStatus& rules) {
  head(text, "swnat_rules_as_configured", "gauge",
       "1 if the kernel has what the last `up` with this configuration left there, else 0");
  append(text, "swnat_rules_as_configured {}\n",
         rules.seen.state == rules::RuleState::as_configured ? 1 : 0);
  head(text, "swnat_rules_repairs_total", "counter",
       "times that rules, routes or sysctls were put back");
  append(text, "swnat_rules_repairs_total {}\n", rules.repairs);
  head(text, "swnat_rules_unread_queues", "gauge",
       "queues that rules of others name and that nobody reads");
  append(text, "swnat_rules_unread_queues {}\n", rules.unread_queues);
  head(text, "swnat_rules_dropped_total", "counter", "packets that the rules dropped themselves");
  for (const RuleCounter& each : rule_counters()) {
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
  head(text, "swnat_log_records_total", "counter", "records of the mapping log");
  append(text, "swnat_log_records_total {}\n", counters.records.load());
  head(text, "swnat_log_lost_total", "counter",
       "events that the mapping log was to record and that found no room");
  append(text, "swnat_log_lost_total {}\n", counters.lost.load());
  for (const Metric& metric : metrics) {
    head(text, metric.name, "counter", metric.help);
    for (std::size_t i = 0; i < log_output_count; ++i) {
      append(text, "{}{{output=\"{}\"}} {}\n", metric.name, log_output_names[i],
             (counters.outputs[i].*metric.value).load());
    }
  }
}

// One metric, of which each namespace has as many lines as `append` makes, which all begin so.
struct NamespaceMetric {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  void (*append)(std::string& text, const std::string& begin, const NamespaceReport& report);
};

template <std::uint32_t NamespaceUse::*value>
void append_use(std::string& text, const std::string& begin, const NamespaceReport& report) {
  append(text, "{}}} {}\n", begin, report.use.*value);
}

template <std::uint64_t Traffic::*value>
void append_traffic(std::string& text, const std::string& begin, const NamespaceReport& report) {
  append(text, "{0},direction=\"outbound\"}} {1}\n{0},direction=\"inbound\"}} {2}\n", begin,
         report.traffic.outbound.*value, report.traffic.inbound.*value);
}

constexpr NamespaceMetric namespace_metrics[] = {
    {"swnat_sessions", "gauge", "sessions that the namespace has",
     append_use<&NamespaceUse::sessions>},
    {"swnat_session_limit", "gauge", "sessions that the namespace may have",
     append_use<&NamespaceUse::session_limit>},
    {"swnat_ports", "gauge", "external ports that the namespace's mappings have",
     append_use<&NamespaceUse::ports>},
    {"swnat_port_limit", "gauge", "external ports that the namespace may have, 0 for no limit",
     append_use<&NamespaceUse::port_limit>},
    {"swnat_namespace_packets_total", "counter", "packets that the namespace's sessions translated",
     append_traffic<&Traffic::packets>},
    {"swnat_namespace_bytes_total", "counter", "bytes of these packets, IP headers included",
     append_traffic<&Traffic::bytes>},
    {"swnat_port_blocks", "gauge", "blocks of external ports that the namespace has",
     append_use<&NamespaceUse::port_blocks>},
};

}  // namespace

Metrics::Metrics(const Daemon& daemon)
    : daemon_(daemon), config_(daemon.config()), namespaces_(namespace_reports(daemon.engine())) {}

bool Metrics::append_piece(std::string& text) {
  if (has_totals_) return append_namespaces(text);
  append_totals(text);
  has_totals_ = true;
  return true;
}

void Metrics::append_totals(std::string& text) const {
  head(text, "swnat_build_info", "gauge", "always 1; the label tells the version");
  append(text, "swnat_build_info{{version=\"{}\"}} 1\n", SWNAT_VERSION);
  head(text, "swnat_uptime_seconds", "gauge", "seconds since the daemon started");
  append(text, "swnat_uptime_seconds {}\n", daemon_.uptime().count() / 1000);
  head(text, "swnat_max_sessions", "gauge", "sessions that the table has room for");
  append(text, "swnat_max_sessions {}\n", config_->max_sessions);
  head(text, "swnat_packets_total", "counter", "packets by what became of them");
  const Counters counters = daemon_.engine().counters();
  for (std::size_t i = 0; i < counters.size(); ++i) {
    append(text, "swnat_packets_total{{reason=\"{}\",verdict=\"{}\"}} {}\n", reasons[i].name,
           name_of(reasons[i].verdict), counters[i]);
  }
  append_forwards(text);
  append_rules(text, daemon_.rules());
  append_queues(text, daemon_.queues());
  append_log(text, daemon_.mapping_log().counters());
}

void Metrics::append_forwards(std::string& text) const {
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
  const std::vector<ForwardUse> forwards = daemon_.engine().forwards();
  for (const Gauge& gauge : gauges) {
    head(text, gauge.name, "gauge", gauge.help);
    for (const ForwardUse& use : forwards) {
      append(text, "{}{{namespace=\"{}\",protocol=\"{}\",external=\"{}\"}} {}\n", gauge.name,
             label(rules::namespace_name(*config_, use.namespace_id)), protocol_name(use.protocol),
             to_text(use.external), use.*gauge.value);
    }
  }
}

bool Metrics::append_namespaces(std::string& text) {
  const NamespaceMetric& metric = namespace_metrics[metric_];
  if (next_ == 0) head(text, metric.name, metric.type, metric.help);
  const auto rest = std::span(namespaces_).subspan(next_);
  const auto piece = rest.first(std::min(rest.size(), namespaces_per_piece));
  for (const NamespaceReport& report : piece) {
    const auto begin = fmt::format("{}{{namespace=\"{}\"", metric.name,
                                   label(rules::namespace_name(*config_, report.use.id)));
    metric.append(text, begin, report);
  }
  next_ += piece.size();
  if (next_ < namespaces_.size()) return true;
  next_ = 0;
  return ++metric_ < std::size(namespace_metrics);
}

}  // namespace swnat::nfq
