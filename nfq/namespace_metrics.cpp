#include "nfq/namespace_metrics.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <tuple>
#include <utility>

#include "nfq/prometheus_text.h"

namespace swnat::nfq {
namespace {

constexpr std::size_t namespaces_per_piece = 256;

// One metric, of which each namespace has as many lines as `append` makes, which all begin so.
struct NamespaceMetric {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  void (*append)(std::string& text, const std::string& begin, const NamespaceReport& report);
};

template <auto NamespaceUse::*value>
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
    {"swnat_namespace_evicted_total", "counter",
     "sessions of the namespace that ended so that a new one could be made",
     append_use<&NamespaceUse::evicted>},
    {"swnat_namespace_refused_total", "counter",
     "packets of the namespace or to it that rules and limits denied a session",
     append_use<&NamespaceUse::refused>},
};

std::uint64_t bytes_of(const NamespaceReport& report) {
  return report.traffic.outbound.bytes + report.traffic.inbound.bytes;
}

bool is_busier(const NamespaceReport& a, const NamespaceReport& b) {
  return std::tuple(bytes_of(b), b.use.sessions, a.use.id) <
         std::tuple(bytes_of(a), a.use.sessions, b.use.id);
}

bool has_lower_id(const NamespaceReport& a, const NamespaceReport& b) {
  return a.use.id < b.use.id;
}

}  // namespace

NamespaceMetrics::NamespaceMetrics(const Engine& engine,
                                   std::shared_ptr<const rules::Config> config)
    : engine_(engine), config_(std::move(config)) {}

bool NamespaceMetrics::read_piece() {
  auto reports = namespace_reports(engine_, reading_);
  if (!reports) return true;
  shown_ = *std::move(reports);
  reading_ = {};
  count_ = shown_.size();
  if (count_ <= most_shown) return false;
  std::ranges::nth_element(shown_, shown_.begin() + most_shown, is_busier);
  shown_.resize(most_shown);
  shown_.shrink_to_fit();
  std::ranges::sort(shown_, has_lower_id);
  return false;
}

bool NamespaceMetrics::append_piece(std::string& text) {
  const NamespaceMetric& metric = namespace_metrics[metric_];
  if (next_ == 0) append_head(text, metric.name, metric.type, metric.help);
  const auto rest = std::span(shown_).subspan(next_);
  const auto piece = rest.first(std::min(rest.size(), namespaces_per_piece));
  for (const NamespaceReport& report : piece) {
    const auto begin = fmt::format("{}{{namespace=\"{}\"", metric.name,
                                   label(rules::namespace_name(*config_, report.use.id)));
    metric.append(text, begin, report);
  }
  next_ += piece.size();
  if (next_ < shown_.size()) return true;
  next_ = 0;
  return ++metric_ < std::size(namespace_metrics);
}

}  // namespace swnat::nfq
