// Policy routing: each fwmark has a route table, which leads to the tenant's own subnets, and what
// comes from a tenant's network without a fwmark leads nowhere.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/system/interfaces.h"
#include "rules/wanted/family.h"
#include "rules/wanted/tenant.h"

namespace swnat::rules {

// Where our `ip rule`s begin, and the protocol number by which they and our routes are known from
// others.
inline constexpr std::uint32_t first_rule_priority = 5300;
inline constexpr std::uint32_t route_protocol = 83;

struct IpRule {
  Family family = Family::ipv4;
  std::uint32_t priority = 0;
  std::string what;  // selector and action: "fwmark 0x1/0xffff lookup 1392508929"

  friend auto operator<=>(const IpRule&, const IpRule&) = default;
};

struct FwmarkRoute {
  Family family = Family::ipv4;
  std::uint32_t table = 0;
  std::string to;
  std::string via;        // empty: on the interface itself
  std::string interface;  // empty: unreachable, what is left when the interface's own route is gone

  friend auto operator<=>(const FwmarkRoute&, const FwmarkRoute&) = default;
};

// In place of the name of one that was not there when interfaces were listed.
inline constexpr const char* unknown_interface = "?";

struct PolicyRouting {
  std::vector<IpRule> rules;
  std::vector<FwmarkRoute> routes;  // subnets before the routes through them
};

PolicyRouting policy_routing(const Config& config, const std::vector<RemovedTenant>& removed);

// The metric of an unreachable route: behind all routes by an interface, whatever theirs. Another
// one for each table: the kernel looks for a route alike in all tables by a hash in which, for one
// that is unreachable, only the metric differs. Thousands with one metric are compared one by one
// for each that is added.
constexpr std::uint32_t last_metric(std::uint32_t table) {
  return 0x8000'0000 | table;
}

// As after "ip rule add", and after "ip route replace".
std::string to_text(const IpRule& rule);
std::string to_text(const FwmarkRoute& route);

// What of ours the kernel has now. Throws KernelError.
PolicyRouting current_policy_routing(const Interfaces& interfaces);

// Makes the kernel's the same as `wanted`, touching nothing that stays. Routes of interfaces that
// are missing or down are left out: the kernel takes none. Throws KernelError.
void apply_routing(const PolicyRouting& wanted);

// What leads back to a member of a range, if its interface is up.
std::vector<FwmarkRoute> member_routes(const std::vector<IpNetwork>& subnets, std::uint32_t fwmark,
                                       const std::string& interface);
// Puts these routes, or takes them away, as far as it can. Returns which of them failed; of those
// to be taken away that were not there none did. `interfaces` has the numbers of theirs.
std::vector<std::size_t> change_routes(const std::vector<FwmarkRoute>& routes, bool is_removal,
                                       const Interfaces& interfaces);

}  // namespace swnat::rules
