#include "rules/routes/table_sharing.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "rules/wanted/bit_tree.h"

namespace swnat::rules {
namespace {

std::vector<IpNetwork> networks_of(const NamespaceConfig& one, Family family) {
  std::vector<IpNetwork> all;
  for (const IpNetwork& each : one.networks()) {
    if (family_of(each) == family) all.push_back(each);
  }
  return all;
}

}  // namespace

std::map<std::uint32_t, IpNetwork> sharing_networks(const Config& config, Family family) {
  std::map<std::uint32_t, IpNetwork> sharing;
  if (family == Family::ipv4) return sharing;
  std::vector<std::pair<BitString, std::uint32_t>> sorted;
  for (const NamespaceConfig& each : config.namespaces) {
    const std::vector<IpNetwork> own = networks_of(each, family);
    if (each.interfaces.empty() || own.size() != 1) continue;
    sorted.emplace_back(bits_of(own.front()), each.fwmark_first());
    sharing.emplace(each.fwmark_first(), own.front());
  }
  // A network comes right before those that it holds.
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::size_t> holders;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    while (!holders.empty() && !holds(sorted[holders.back()].first, sorted[i].first)) {
      holders.pop_back();
    }
    if (!holders.empty()) {
      sharing.erase(sorted[i].second);
      sharing.erase(sorted[holders.back()].second);
    }
    holders.push_back(i);
  }
  return sharing;
}

}  // namespace swnat::rules
