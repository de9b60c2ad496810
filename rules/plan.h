// All that the kernel must be told for one configuration. What is printed and what is applied both
// come from here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rules/config.h"
#include "rules/digest.h"
#include "rules/iptables_text.h"
#include "rules/kernel.h"
#include "rules/policy_route.h"

namespace swnat::rules {

// Rules and routes: what can be put into the kernel, compared, and taken out again.
struct Layout {
  std::string nft;                      // for `nft -f -`
  std::vector<IptablesTable> iptables;  // empty with Format::nft
  PolicyRouting routing;
};

// Below /proc/sys: "net/ipv4/ip_forward".
struct Sysctl {
  std::string name;
  std::string value;
};

struct Plan {
  Layout layout;
  std::vector<RemovedTenant> removed;
  std::vector<Sysctl> sysctls;
  // Added to net/ipv4/ip_local_reserved_ports, so that the gateway's own sockets stay off them:
  // what the NAT may hand out comes first, then other ports that are forwarded.
  std::vector<PortRange> reserved_ports;
  // From the first port that the NAT may hand out to the last.
  PortRange nat_ports;
  // Where those find ports instead, if what they have now leaves them too few: by default the NAT's
  // ports are all that they have by default.
  std::optional<PortRange> local_ports;
  // An interface whose router advertisements go on counting, if they did before the kernel forwards
  // IPv6: that alone would end it, and take away the routes that they made. Empty: none.
  std::string advertised_interface;
};
// With fewer than these a busy gateway runs out.
inline constexpr std::uint32_t enough_local_ports = 1024;
inline constexpr const char* local_ports_sysctl = "net/ipv4/ip_local_port_range";
inline constexpr const char* reserved_ports_sysctl = "net/ipv4/ip_local_reserved_ports";
inline constexpr const char* forwarding_sysctls[] = {"net/ipv4/ip_forward",
                                                     "net/ipv6/conf/all/forwarding"};

// `format` is nft or iptables.
Plan make_plan(const Config& config, Format format, const std::vector<RemovedTenant>& removed = {});

// All that it asks of the kernel, apart from removed tenants.
void add_to(Digest& digest, const Plan& plan);

}  // namespace swnat::rules
