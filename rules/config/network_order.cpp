#include "rules/config/network_order.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace swnat::rules {

NetworkKey key_of(const IpNetwork& network) {
  NetworkKey key{};
  key.front() = is_ipv6(network) ? 1 : 0;
  std::visit([&](const auto& one) { std::memcpy(&key[1], &one.address, sizeof one.address); },
             network);
  key.back() = length_of(network);
  return key;
}

std::vector<Overlap> overlaps(const std::vector<IpNetwork>& networks) {
  std::vector<Overlap> all;
  DisjointNetworks<std::size_t> widest;  // of those so far
  for (std::size_t i = 0; i < networks.size(); ++i) {
    std::optional<std::size_t> earliest;
    bool is_within = false;
    while (const auto* other = widest.overlapping(networks[i])) {
      earliest = std::min(earliest.value_or(other->value), other->value);
      is_within = length_of(other->network) <= length_of(networks[i]);
      if (is_within) break;
      widest.erase(other->network);
    }
    if (!is_within) widest.insert(networks[i], i);
    if (earliest) all.push_back({i, *earliest});
  }
  return all;
}

std::vector<IpNetwork> disjoint(std::vector<IpNetwork> networks) {
  std::sort(networks.begin(), networks.end(),
            [](const IpNetwork& a, const IpNetwork& b) { return key_of(a) < key_of(b); });
  std::vector<IpNetwork> widest;
  for (const IpNetwork& each : networks) {
    if (widest.empty() || !overlap(widest.back(), each)) widest.push_back(each);
  }
  return widest;
}

}  // namespace swnat::rules
