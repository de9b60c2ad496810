#include "rules/config/networks.h"

#include <algorithm>
#include <type_traits>

namespace swnat::rules {

bool is_link_local(const IpAddress& address) {
  return contains(parse_network("fe80::/10").value(), address);
}

IpNetwork network_of(const IpAddress& address) {
  return std::visit(
      [](const auto& one) {
        return IpNetwork{Network<std::decay_t<decltype(one)>>{one, sizeof(one) * 8}};
      },
      address);
}

IpAddress address_of(const IpNetwork& network) {
  return std::visit([](const auto& one) { return IpAddress{one.address}; }, network);
}

std::uint8_t length_of(const IpNetwork& network) {
  return std::visit([](const auto& one) { return one.length; }, network);
}

bool contains(const IpNetwork& network, const IpAddress& address) {
  return std::visit(
      []<class A, class B>(const Network<A>& wide, const B& one) {
        if constexpr (std::is_same_v<A, B>) return wide.contains(one);
        return false;
      },
      network, address);
}

bool any_contains(const std::vector<IpNetwork>& networks, const IpAddress& address) {
  return std::ranges::any_of(networks, [&](const auto& one) { return contains(one, address); });
}

bool overlap(const IpNetwork& a, const IpNetwork& b) {
  const bool a_is_wider = length_of(a) <= length_of(b);
  return contains(a_is_wider ? a : b, address_of(a_is_wider ? b : a));
}

}  // namespace swnat::rules
