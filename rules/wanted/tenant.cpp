#include "rules/wanted/tenant.h"

#include <algorithm>

#include "rules/config/network_order.h"
#include "rules/wanted/bit_tree.h"

namespace swnat::rules {
namespace {

// Two halves of one network, in order.
bool are_halves(const BitString& low, const BitString& high) {
  if (low.length != high.length || low.length == 0) return false;
  const unsigned last = low.length - 1;
  BitString other = low;
  other.octets[last / 8] |= static_cast<std::uint8_t>(0x80u >> last % 8);
  return other != low && other == high;
}

// Of one family.
std::vector<BitString> joined(std::vector<BitString> all) {
  std::sort(all.begin(), all.end());
  std::vector<BitString> fewer;
  for (const BitString& each : all) {
    if (!fewer.empty() && holds(fewer.back(), each)) continue;
    fewer.push_back(each);
    while (fewer.size() >= 2 && are_halves(fewer[fewer.size() - 2], fewer.back())) {
      fewer.pop_back();
      --fewer.back().length;
    }
  }
  return fewer;
}

}  // namespace

std::vector<Tenant> tenants(const Config& config) {
  std::vector<Tenant> all;
  for (const NamespaceConfig& each : config.namespaces) {
    if (each.interfaces.empty()) continue;
    all.push_back({each.name, each.fwmark_first(), each.interfaces, disjoint(each.networks()),
                   disjoint(each.policy.untranslated)});
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

std::vector<IpNetwork> tenant_networks(const Config& config,
                                       const std::vector<RemovedTenant>& removed) {
  std::vector<IpNetwork> all;
  for (const NamespaceConfig& each : config.namespaces) {
    const std::vector<IpNetwork> own = each.networks();
    all.insert(all.end(), own.begin(), own.end());
  }
  for (const RemovedTenant& each : removed) {
    all.insert(all.end(), each.sources.begin(), each.sources.end());
  }
  std::vector<IpNetwork> result;
  for (const Family family : all_families) {
    std::vector<BitString> bits;
    for (const IpNetwork& each : all) {
      if (family_of(each) == family) bits.push_back(bits_of(each));
    }
    for (const BitString& each : joined(std::move(bits)))
      result.push_back(network_of(each, family));
  }
  return result;
}

std::vector<NamespaceRange> namespace_ranges(const Config& config) {
  std::vector<NamespaceRange> all;
  for (const NamespaceConfig& each : config.namespaces) {
    all.push_back({each.fwmark_first(), each.fwmark_last()});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<NamespaceRange> fewer;
  for (const NamespaceRange& each : all) {
    if (!fewer.empty() && each.first <= std::uint64_t{fewer.back().last} + 1) {
      fewer.back().last = std::max(fewer.back().last, each.last);
    } else {
      fewer.push_back(each);
    }
  }
  return fewer;
}

}  // namespace swnat::rules
