#include "rules/kernel/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "rules/nft/text.h"
#include "rules/wanted/family.h"
#include "rules/wanted/tenant.h"

namespace swnat::rules {
namespace {

void add_ipv4_sysctls(const Config& config, std::vector<Sysctl>& all) {
  const auto of_interface = [&](const std::string& interface, const char* name, const char* value) {
    all.push_back({fmt::format("net/ipv4/conf/{}/{}", interface, name), value});
  };
  for (const std::string& interface : tenant_interfaces(config)) {
    // A tenant's source is looked up by its fwmark. Loose (2) outranks a strict check for all
    // interfaces.
    of_interface(interface, "rp_filter", "2");
    // What is hairpinned or redirected has the gateway's own address as its source, and so has what
    // a tenant answers to the gateway itself, when that has asked a forwarded port.
    of_interface(interface, "accept_local", "1");
  }
  of_interface(config.external_interface, "rp_filter", "2");
  // By whichever interface it comes, the way back to a tenant is looked up by its fwmark: without
  // one there is none.
  all.push_back({"net/ipv4/conf/all/src_valid_mark", "1"});
}

// IPv6 looks neither up a source's route nor for the gateway's own address there.
std::vector<Sysctl> sysctls(const Config& config) {
  std::vector<Sysctl> all;
  const bool families[] = {is_used(config, Family::ipv4), is_used(config, Family::ipv6)};
  // The gateway's own ICMP errors take the fwmark of the packet that they are about, so they find
  // the tenant.
  if (families[0]) all.push_back({"net/ipv4/fwmark_reflect", "1"});
  if (families[1]) all.push_back({"net/ipv6/fwmark_reflect", "1"});
  if (families[0]) add_ipv4_sysctls(config, all);
  // Last: packets are forwarded once all else is in place.
  for (std::size_t i = 0; i < std::size(families); ++i) {
    if (families[i]) all.push_back({forwarding_sysctls[i], "1"});
  }
  // Which switches it on for each interface too, where it was off. IPv6 asks for all only.
  if (families[0]) {
    std::vector<std::string> interfaces = tenant_interfaces(config);
    interfaces.push_back(config.external_interface);
    for (const std::string& each : interfaces) {
      all.push_back({fmt::format("net/ipv4/conf/{}/forwarding", each), "1"});
    }
  }
  return all;
}

std::vector<PortRange> reserved_ports(const Config& config) {
  std::vector<PortRange> all = config.policy.ports.ranges();
  for (const ForwardRule& each : config.policy.forwards) {
    const PortRange port{each.external.port, each.external.port};
    if (config.policy.ports.contains(port.first)) continue;
    if (std::find(all.begin(), all.end(), port) == all.end()) all.push_back(port);
  }
  return all;
}

// Beside the NAT's ports, where there is most room, off what only root may use. None if there is
// too little everywhere.
std::optional<PortRange> local_ports(const PortRanges& reserved) {
  constexpr std::uint32_t least = 1024;
  constexpr std::uint32_t end = 65'536;
  constexpr std::uint32_t plenty = 16'384;
  std::uint32_t best = 0;
  std::uint32_t size = 0;
  std::uint32_t begin = least;  // of the room that ends before the next range
  const auto consider = [&](std::uint32_t room_end) {
    if (room_end <= begin || room_end - begin <= size) return;
    size = room_end - begin;
    best = begin;
  };
  for (const PortRange& range : reserved.ranges()) {
    consider(range.first);
    begin = std::max(begin, range.last + 1u);
  }
  consider(end);
  const std::uint32_t count = std::min(plenty, size);
  if (count < enough_local_ports) return std::nullopt;
  const std::uint32_t first = best == least ? best + size - count : best;
  return PortRange{static_cast<std::uint16_t>(first),
                   static_cast<std::uint16_t>(first + count - 1)};
}

WantedSysctls wanted_sysctls(const Config& config) {
  WantedSysctls wanted;
  wanted.values = sysctls(config);
  wanted.reserved_ports = reserved_ports(config);
  wanted.nat_ports = config.policy.ports.envelope();
  wanted.local_ports = local_ports(config.policy.ports);
  if (is_used(config, Family::ipv6)) wanted.advertised_interface = config.external_interface;
  return wanted;
}

void add_to(Digest& digest, const std::vector<IptablesTable>& tables) {
  for (const IptablesTable& table : tables) {
    digest.add(fmt::format("*{} {}\n", iptables_program(table.family), table.name));
    for (const IptablesChain& chain : table.chains) {
      digest.add(fmt::format(":{}\n", chain.name));
      for (const std::string& rule : chain.rules) digest.add(rule + '\n');
    }
  }
}

void add_to(Digest& digest, const PolicyRouting& routing) {
  for (const IpRule& rule : routing.rules) {
    digest.add(ip_option(rule.family));
    digest.add(to_text(rule));
  }
  for (const FwmarkRoute& route : routing.routes) {
    digest.add(ip_option(route.family));
    digest.add(to_text(route));
  }
}

void add_to(Digest& digest, const PortRange& ports) {
  digest.add(fmt::format("{}-{}\n", ports.first, ports.last));
}

void add_to(Digest& digest, const WantedSysctls& wanted) {
  for (const Sysctl& each : wanted.values)
    digest.add(fmt::format("{}={}\n", each.name, each.value));
  for (const PortRange& each : wanted.reserved_ports) add_to(digest, each);
  add_to(digest, wanted.nat_ports);
  if (wanted.local_ports) add_to(digest, *wanted.local_ports);
  digest.add(wanted.advertised_interface);
}

}  // namespace

Plan make_plan(const Config& config, Format format, const std::vector<RemovedTenant>& removed) {
  Plan plan;
  plan.removed = removed;
  plan.layout.nft = nft_text(config, format, removed);
  if (format == Format::iptables) plan.layout.iptables = iptables_tables(config);
  plan.layout.routing = policy_routing(config, removed);
  plan.layout.members = member_ranges(config);
  plan.sysctls = wanted_sysctls(config);
  return plan;
}

void add_to(Digest& digest, const Plan& plan) {
  digest.add(plan.layout.nft);
  for (const MemberRange& each : plan.layout.members) digest.add(each.name);
  add_to(digest, plan.layout.iptables);
  add_to(digest, plan.layout.routing);
  add_to(digest, plan.sysctls);
}

}  // namespace swnat::rules
