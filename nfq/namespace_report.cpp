#include "nfq/namespace_report.h"

#include <algorithm>

namespace swnat::nfq {

std::optional<std::vector<NamespaceReport>> namespace_reports(const Engine& engine,
                                                              TrafficReading& reading) {
  const auto traffic = engine.namespace_traffic(reading);
  if (!traffic) return {};
  std::vector<NamespaceReport> reports;
  for (const NamespaceUse& use : engine.namespaces()) {
    // A reload in between may have changed which there are.
    const auto found = std::ranges::lower_bound(*traffic, use.id, {}, &NamespaceTraffic::id);
    const bool is_known = found != traffic->end() && found->id == use.id;
    reports.push_back({use, is_known ? found->traffic : TwoWayTraffic{}});
  }
  return reports;
}

bool is_used(const NamespaceReport& report) {
  return report.use.sessions != 0 || report.use.ports != 0 || report.use.port_blocks != 0;
}

}  // namespace swnat::nfq
