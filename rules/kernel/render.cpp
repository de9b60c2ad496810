// The plan as a shell script.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "rules/kernel/choose_format.h"
#include "rules/kernel/kernel.h"
#include "rules/kernel/plan.h"

namespace swnat::rules {
namespace {

// As sysctl(8) wants it: a dot within an interface's name is written as a slash.
std::string sysctl_name(std::string name) {
  for (char& c : name) c = c == '/' ? '.' : c == '.' ? '/' : c;
  return name;
}

std::string here_document(std::string_view command, std::string_view text) {
  return fmt::format("{} <<'EOF'\n{}EOF\n", command, text);
}

std::string iptables_script(const IptablesTable& table) {
  std::string text = fmt::format("*{}\n", table.name);
  for (const IptablesChain& chain : table.chains) text += fmt::format(":{} - [0:0]\n", chain.name);
  for (const IptablesChain& chain : table.chains) {
    for (const std::string& rule : chain.rules) text += fmt::format("-A {} {}\n", chain.name, rule);
  }
  std::string script = here_document(iptables_program(table.family, "-restore --noflush --wait=5"),
                                     text + "COMMIT\n");
  for (const IptablesHook& hook : iptables_hooks) {
    if (hook.table != table.name) continue;
    script +=
        fmt::format("{0} -w -t {1} -C {2} -j {3} 2>/dev/null || {0} -w -t {1} -A {2} -j {3}\n",
                    iptables_program(table.family), hook.table, hook.chain, hook.entry);
  }
  return script + "\n";
}

std::string routing_script(const PolicyRouting& routing) {
  if (routing.rules.empty())
    return "# No namespace has interfaces: the operator's own rules route them.\n";
  std::string text;
  for (const FwmarkRoute& route : routing.routes) {
    text += fmt::format("ip {} route replace {}\n", ip_option(route.family), to_text(route));
  }
  // Jumps lead to rules of higher priority, which are there first.
  for (auto rule = routing.rules.rbegin(); rule != routing.rules.rend(); ++rule) {
    text += fmt::format("ip {0} rule del {1} 2>/dev/null || true\nip {0} rule add {1}\n",
                        ip_option(rule->family), to_text(*rule));
  }
  return text;
}

// The gateway's own sockets must find ports that are not the NAT's.
std::string local_ports_script(const Plan& plan) {
  if (!plan.sysctls.local_ports) return "";
  const PortRange reserved = plan.sysctls.nat_ports;
  return fmt::format(
      "# The gateway's own sockets take their ports from this range: elsewhere, if too few would "
      "be left.\n"
      "set -- $(sysctl -n {0})\n"
      "below=$(( ($2 < {1} ? $2 + 1 : {1}) - $1 )) above=$(( $2 - ($1 > {2} ? $1 - 1 : {2}) ))\n"
      "[ $(( (below > 0 ? below : 0) + (above > 0 ? above : 0) )) -ge {3} ] ||\n"
      "  sysctl -qw \"{0}={4} {5}\"\n",
      sysctl_name(local_ports_sysctl), reserved.first, reserved.last, enough_local_ports,
      plan.sysctls.local_ports->first, plan.sysctls.local_ports->last);
}

std::string advertisements_script(const Plan& plan) {
  if (plan.sysctls.advertised_interface.empty()) return "";
  const std::string folder = fmt::format("net/ipv6/conf/{}/", plan.sysctls.advertised_interface);
  return fmt::format(
      "# Router advertisements go on counting there if they did so far.\n"
      "[ \"$(sysctl -n {0}) $(sysctl -n {1})\" != \"1 0\" ] || sysctl -qw \"{0}=2\"\n",
      sysctl_name(folder + "accept_ra"), sysctl_name(folder + "forwarding"));
}

std::string sysctl_script(const Plan& plan) {
  const std::string reserved = sysctl_name(reserved_ports_sysctl);
  std::vector<std::string> ports;
  for (const PortRange& each : plan.sysctls.reserved_ports) {
    ports.push_back(each.first == each.last ? fmt::format("{}", each.first)
                                            : fmt::format("{}-{}", each.first, each.last));
  }
  std::string text =
      local_ports_script(plan) + advertisements_script(plan) +
      fmt::format(
          "# The list as it is and the NAT's ports; the kernel joins what overlaps.\n"
          "old=$(sysctl -n {0})\nsysctl -qw \"{0}=${{old:+$old,}}{1}\"\n",
          reserved, fmt::join(ports, ","));
  for (const Sysctl& each : plan.sysctls.values) {
    text += fmt::format("sysctl -qw \"{}={}\"\n", sysctl_name(each.name), each.value);
  }
  return text;
}

}  // namespace

std::string render_nft(const Config& config, Format format) {
  return make_plan(config, choose_format(format)).layout.nft;
}

std::string render(const Config& config, Format format) {
  const Format chosen = choose_format(format);
  const Plan plan = make_plan(config, chosen);
  std::string script = fmt::format(
      "#!/bin/sh\n"
      "# What the kernel must be told for {}: `swnat-nfq up` does the same, and `swnat-nfq down` "
      "undoes it.\n"
      "set -e\n\n"
      "# Rules: fwmarks, queues, and the guard behind the queues.\n{}\n",
      config.file, here_document("nft -f -", plan.layout.nft));
  if (!plan.layout.iptables.empty()) {
    script += "# Rules for iptables: fwmarks and what goes to the queues.\n";
    for (const IptablesTable& table : plan.layout.iptables) script += iptables_script(table);
  }
  script +=
      "# Routes: each fwmark leads to its namespace's own subnets, and what has none leads "
      "nowhere.\n" +
      routing_script(plan.layout.routing) + "\n# Sysctls.\n" + sysctl_script(plan);
  return script;
}

}  // namespace swnat::rules
