// Addresses and networks of either family: which family, and what lies in what.
#pragma once

#include <vector>

#include "swnat/address.h"
#include "swnat/address_text.h"

namespace swnat::rules {

constexpr bool is_ipv6(const IpAddress& address) {
  return std::holds_alternative<Ipv6Address>(address);
}
constexpr bool is_ipv6(const IpNetwork& network) {
  return std::holds_alternative<Network<Ipv6Address>>(network);
}

// Within fe80::/10.
bool is_link_local(const IpAddress& address);

// That address alone.
IpNetwork network_of(const IpAddress& address);
// The first address of it.
IpAddress address_of(const IpNetwork& network);
std::uint8_t length_of(const IpNetwork& network);

// False where the families differ.
bool contains(const IpNetwork& network, const IpAddress& address);
bool any_contains(const std::vector<IpNetwork>& networks, const IpAddress& address);
bool overlap(const IpNetwork& a, const IpNetwork& b);

// Those of one family, in their order: of_family<Ipv4Address>(addresses),
// of_family<Network<Ipv4Address>>(networks).
template <class One, class Any>
std::vector<One> of_family(const std::vector<Any>& all) {
  std::vector<One> some;
  for (const Any& each : all) {
    if (const One* one = std::get_if<One>(&each)) some.push_back(*one);
  }
  return some;
}

}  // namespace swnat::rules
