#include "rules/tenant.h"

#include <algorithm>

namespace swnat::rules {
namespace {

// Without those that lie within another.
std::vector<IpNetwork> widest_of(std::vector<IpNetwork> all) {
  std::vector<IpNetwork> widest;
  std::stable_sort(all.begin(), all.end(), [](const IpNetwork& a, const IpNetwork& b) {
    return length_of(a) < length_of(b);
  });
  for (const IpNetwork& each : all) {
    const bool covered = std::any_of(widest.begin(), widest.end(),
                                     [&](const IpNetwork& wide) { return overlap(wide, each); });
    if (!covered) widest.push_back(each);
  }
  return widest;
}

std::vector<IpNetwork> sources(const NamespaceConfig& config) {
  std::vector<IpNetwork> all = config.subnets;
  for (const Route& route : config.routes) all.push_back(route.to);
  return widest_of(std::move(all));
}

}  // namespace

std::vector<Tenant> tenants(const Config& config) {
  std::vector<Tenant> all;
  for (const NamespaceConfig& each : config.namespaces) {
    if (each.interfaces.empty()) continue;
    all.push_back({each.name, each.fwmark_first, each.interfaces, sources(each),
                   widest_of(each.untranslated)});
  }
  return all;
}

std::vector<std::string> tenant_interfaces(const Config& config) {
  std::vector<std::string> all;
  for (const NamespaceConfig& each : config.namespaces) {
    all.insert(all.end(), each.interfaces.begin(), each.interfaces.end());
  }
  return all;
}

}  // namespace swnat::rules
