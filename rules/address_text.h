// Addresses, endpoints and networks of both families as people write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/address.h"

namespace swnat::rules {

// "203.0.113.1", and as RFC 5952 has it "2001:db8::1".
std::string to_text(const IpAddress& address);
// "203.0.113.1:80", "[2001:db8::1]:80".
std::string to_text(const IpEndpoint& endpoint);
// "10.0.0.0/24", "fd00::/64".
std::string to_text(const IpNetwork& network);

// Exactly four decimal numbers with dots between, or RFC 4291 text without a zone; nullopt for
// anything else.
std::optional<IpAddress> parse_address(std::string_view text);
// An address of IPv4, or one of IPv6 in brackets, then ":" and a port from 1 to 65535.
std::optional<IpEndpoint> parse_endpoint(std::string_view text);
// An address, "/" and a length. Bits beyond the length are taken for zero.
std::optional<IpNetwork> parse_network(std::string_view text);

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
