// Policy routing: each fwmark has a route table, which leads to the tenant's own subnets.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config.h"
#include "rules/family.h"

namespace swnat::rules {

// The priority of our `ip rule`s, and the protocol number by which our routes are known from
// others.
inline constexpr std::uint32_t rule_priority = 5300;
inline constexpr std::uint32_t route_protocol = 83;

struct FwmarkRule {
  Family family = Family::ipv4;
  std::uint32_t fwmark = 0;
  std::uint32_t mask = 0;
  std::uint32_t table = 0;

  friend auto operator<=>(const FwmarkRule&, const FwmarkRule&) = default;
};

struct FwmarkRoute {
  Family family = Family::ipv4;
  std::uint32_t table = 0;
  std::string to;
  std::string via;  // empty: on the interface itself
  std::string interface;

  friend auto operator<=>(const FwmarkRoute&, const FwmarkRoute&) = default;
};

struct PolicyRouting {
  std::vector<FwmarkRule> rules;
  std::vector<FwmarkRoute> routes;  // subnets before the routes through them
};

PolicyRouting policy_routing(const Config& config);

// "-4" or "-6".
std::string_view ip_option(Family family);

// As after "ip rule add", and after "ip route replace".
std::string to_text(const FwmarkRule& rule);
std::string to_text(const FwmarkRoute& route);

// What of ours the kernel has now.
PolicyRouting current_policy_routing();

// Makes the kernel's the same as `wanted`, touching nothing that stays. Throws KernelError.
void apply(const PolicyRouting& wanted);

}  // namespace swnat::rules
