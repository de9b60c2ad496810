// IPv4 addresses and subnets as people write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rules/config.h"

namespace swnat::rules {

std::string to_text(Ipv4Address address);
std::string to_text(const Subnet& subnet);

// Exactly four decimal numbers with dots between; nullopt for anything else.
std::optional<Ipv4Address> parse_ipv4(std::string_view text);

// Whether the text means an IPv6 address or subnet, well written or not.
bool looks_like_ipv6(std::string_view text);

// The bits of an address that name a subnet of this length, in host byte order.
constexpr std::uint32_t subnet_bits(std::uint8_t length) {
  return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
}

constexpr bool contains(const Subnet& subnet, Ipv4Address address) {
  return (address.host() & subnet_bits(subnet.length)) == subnet.address.host();
}

constexpr bool overlap(const Subnet& a, const Subnet& b) {
  return a.length <= b.length ? contains(a, b.address) : contains(b, a.address);
}

constexpr bool operator==(const Subnet& a, const Subnet& b) {
  return a.address == b.address && a.length == b.length;
}

}  // namespace swnat::rules
