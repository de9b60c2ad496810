// Networks in an order in which those that overlap lie side by side.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "rules/config/networks.h"

namespace swnat::rules {

// Compares as a network's family, then its first address, then its length: what lies within a
// network follows it before anything else does.
using NetworkKey = std::array<std::uint8_t, 18>;
NetworkKey key_of(const IpNetwork& network);

// A network, and the place of another before it in the list that overlaps it.
struct Overlap {
  std::size_t later = 0;
  std::size_t earlier = 0;
};

// Of a list in any order: those that overlap one before them, each once, in their order.
std::vector<Overlap> overlaps(const std::vector<IpNetwork>& networks);

// Without those that lie within another, ordered by their keys.
std::vector<IpNetwork> disjoint(std::vector<IpNetwork> networks);

// Networks none of which overlap, and what belongs to each.
template <class T>
class DisjointNetworks {
 public:
  struct Entry {
    IpNetwork network;
    T value;
  };

  // Null if none does. In such a set only two neighbours can.
  const Entry* overlapping(const IpNetwork& network) const {
    const auto after = entries_.lower_bound(key_of(network));
    if (after != entries_.end() && overlap(after->second.network, network)) return &after->second;
    if (after == entries_.begin()) return nullptr;
    const Entry& before = std::prev(after)->second;
    return overlap(before.network, network) ? &before : nullptr;
  }

  // It must overlap none.
  void insert(const IpNetwork& network, T value) {
    entries_.emplace(key_of(network), Entry{network, std::move(value)});
  }
  void erase(const IpNetwork& network) { entries_.erase(key_of(network)); }

 private:
  std::map<NetworkKey, Entry> entries_;
};

}  // namespace swnat::rules
