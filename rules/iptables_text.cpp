// Theory of operation
//
// The chains `incoming` and `outgoing` of the nft table as iptables rules (nft_text.cpp tells the
// way of a packet), and the fwmark and source check of IPv4. They stand in the tables that see a
// packet where it must be seen: raw PREROUTING, before conntrack, and mangle POSTROUTING. What a
// queue accepts goes on with the next table, so nothing in these chains meets a translated packet,
// and the guard in the nft table does.
//
// Steering is by `u32`, which reads four bytes of the packet: "0>>22&0x3C@" skips the IP header,
// then come the place, a shift and a mask. The last queue takes what is left, so no packet falls
// through.
#include "rules/iptables_text.h"

#include <fmt/format.h>

#include "rules/spare_fwmark.h"
#include "rules/steering.h"
#include "rules/tenant.h"

namespace swnat::rules {
namespace {

constexpr std::string_view transport = "0>>22&0x3C@";
// Where the ports and ids stand, as u32 reads them.
constexpr std::string_view source_port = "0>>16";
constexpr std::string_view destination_port = "0";
constexpr std::string_view echo_id = "4>>16";
constexpr std::string_view quoted_source_port = "28>>16";
constexpr std::string_view quoted_echo_id = "32>>16";

std::string u32(std::string_view tests) {
  return fmt::format("-m u32 --u32 \"{}\"", tests);
}

std::string queue(std::uint32_t number) {
  return fmt::format("-j NFQUEUE --queue-num {}", number);
}

// Sends all that enters it to the queue that the bits of `field` name.
IptablesChain steering_chain(const Config& config, std::string name, std::string_view field) {
  IptablesChain chain{std::move(name), {}};
  const std::vector<Steering> all = steerings(config);
  for (const Steering& each : all) {
    const bool last = &each == &all.back();
    const std::string match = last ? ""
                                   : u32(fmt::format("{}{}&{:#x}={:#x}", transport, field,
                                                     steering_mask(config.workers), each.bits)) +
                                         " ";
    chain.rules.push_back(match + queue(each.queue));
  }
  return chain;
}

// The same for packets from outside, which conntrack must not see: it would know neither of their
// ends.
IptablesChain untracked(IptablesChain chain) {
  chain.rules.insert(chain.rules.begin(), "-j CT --notrack");
  return chain;
}

std::string port_match(const Config& config, std::string_view protocol) {
  return fmt::format("-p {0} -m {0} --dport {1}:{2}", protocol, config.ports.first,
                     config.ports.last);
}

std::string tenant_chain_name(const Tenant& tenant) {
  return fmt::format("SWNAT-NS-{:x}", tenant.fwmark);
}

IptablesChain tenant_chain(const Config& config, const Tenant& tenant) {
  IptablesChain chain{tenant_chain_name(tenant), {}};
  chain.rules.push_back(
      fmt::format("-j MARK --set-xmark {:#x}/{:#x}", tenant.fwmark, config.fwmark_mask));
  for (const auto& subnet : of_family<Network<Ipv4Address>>(tenant.sources)) {
    chain.rules.push_back(fmt::format("-s {} -j RETURN", to_text(subnet)));
  }
  // A DHCP client has no address yet.
  chain.rules.push_back("-s 0.0.0.0/32 -p udp -m udp --sport 68 --dport 67 -j RETURN");
  chain.rules.push_back("-j DROP");
  return chain;
}

IptablesChain entry_chain(const Config& config) {
  IptablesChain chain{"SWNAT-IN", {}};
  if (const auto spare = spare_fwmark(config)) {
    chain.rules.push_back(fmt::format("-i {} -m mark --mark {:#x}/{:#x} -g SWNAT-OWN",
                                      config.external_interface, *spare, config.fwmark_mask));
  }
  for (const Ipv4Address address : of_family<Ipv4Address>(config.external_addresses)) {
    chain.rules.push_back(fmt::format("-i {} -d {}/32 -j SWNAT-OUTSIDE", config.external_interface,
                                      to_text(address)));
  }
  for (const Tenant& tenant : tenants(config)) {
    for (const std::string& interface : tenant.interfaces) {
      chain.rules.push_back(fmt::format("-i {} -j {}", interface, tenant_chain_name(tenant)));
    }
  }
  for (const Ipv4Address address : of_family<Ipv4Address>(config.external_addresses)) {
    chain.rules.push_back(fmt::format("-d {}/32 -m mark ! --mark 0x0/{:#x} -j SWNAT-HAIRPIN",
                                      to_text(address), config.fwmark_mask));
  }
  return chain;
}

constexpr std::string_view icmp_error_types[] = {"3", "11", "12"};

void jump_for_errors(IptablesChain& chain) {
  for (const std::string_view type : icmp_error_types) {
    chain.rules.push_back(fmt::format("-p icmp -m icmp --icmp-type {} -j SWNAT-ERROR", type));
  }
}

IptablesChain outside_chain(const Config& config) {
  IptablesChain chain{"SWNAT-OUTSIDE", {}};
  chain.rules.push_back(port_match(config, "tcp") + " -j SWNAT-TO-PORT");
  chain.rules.push_back(port_match(config, "udp") + " -j SWNAT-TO-PORT");
  chain.rules.push_back(fmt::format(
      "-p icmp -m icmp --icmp-type 0 {} -j SWNAT-TO-ID",
      u32(fmt::format("{}{}={}:{}", transport, echo_id, config.ports.first, config.ports.last))));
  jump_for_errors(chain);
  return chain;
}

IptablesChain hairpin_chain(const Config& config) {
  IptablesChain chain{"SWNAT-HAIRPIN", {}};
  const std::string_view verdict = config.hairpin ? " -j SWNAT-TO-PORT" : " -j DROP";
  chain.rules.push_back(port_match(config, "tcp").append(verdict));
  chain.rules.push_back(port_match(config, "udp").append(verdict));
  if (!config.hairpin) return chain;
  jump_for_errors(chain);
  // Later fragments have no port to go by.
  chain.rules.push_back("-f " + queue(config.first_queue));
  return chain;
}

// An ICMP error quotes the packet that it is about: an IPv4 header without options, and not of a
// later fragment, then the sender's port or id. Others the NAT cannot own; the gateway may look at
// them.
IptablesChain error_chain(const Config& config) {
  const std::string quoted = fmt::format("{0}8>>24=0x45&&{0}12&0x1FFF=0", transport);
  const std::string ports = fmt::format("{}:{}", config.ports.first, config.ports.last);
  IptablesChain chain{"SWNAT-ERROR", {}};
  chain.rules.push_back(fmt::format("{} -j SWNAT-ERROR-PORT",
                                    u32(fmt::format("{0}&&{1}16>>16&0xFF=6,17&&{1}{2}={3}", quoted,
                                                    transport, quoted_source_port, ports))));
  chain.rules.push_back(fmt::format(
      "{} -j SWNAT-ERROR-ID", u32(fmt::format("{0}&&{1}16>>16&0xFF=1&&{1}28>>24=8&&{1}{2}={3}",
                                              quoted, transport, quoted_echo_id, ports))));
  return chain;
}

// Answers to the gateway's own pings, which the nft table tells by this fwmark. They go on behind
// the entry chain.
IptablesChain own_chain(const Config& config) {
  return {"SWNAT-OWN", {fmt::format("-j MARK --set-xmark 0x0/{:#x}", config.fwmark_mask)}};
}

IptablesTable raw_table(const Config& config) {
  IptablesTable table{"raw", "PREROUTING", {}};
  table.chains.push_back(entry_chain(config));
  for (const Tenant& tenant : tenants(config)) table.chains.push_back(tenant_chain(config, tenant));
  table.chains.push_back(own_chain(config));
  table.chains.push_back(outside_chain(config));
  table.chains.push_back(hairpin_chain(config));
  table.chains.push_back(error_chain(config));
  table.chains.push_back(untracked(steering_chain(config, "SWNAT-TO-PORT", destination_port)));
  table.chains.push_back(untracked(steering_chain(config, "SWNAT-TO-ID", echo_id)));
  table.chains.push_back(untracked(steering_chain(config, "SWNAT-ERROR-PORT", quoted_source_port)));
  table.chains.push_back(untracked(steering_chain(config, "SWNAT-ERROR-ID", quoted_echo_id)));
  return table;
}

IptablesTable mangle_table(const Config& config) {
  const IptablesChain entry{"SWNAT-OUT",
                            {fmt::format("-o {} -m mark ! --mark 0x0/{:#x} -j SWNAT-OUTBOUND",
                                         config.external_interface, config.fwmark_mask)}};
  // Later fragments, and what has no port, have nothing to go by. The engine knows what to do with
  // them.
  const IptablesChain outbound{
      "SWNAT-OUTBOUND",
      {"-f " + queue(config.first_queue), "-p tcp -j SWNAT-FROM-PORT", "-p udp -j SWNAT-FROM-PORT",
       "-p icmp -m icmp --icmp-type 8 -j SWNAT-FROM-ID", queue(config.first_queue)}};
  return {"mangle",
          "POSTROUTING",
          {entry, outbound, steering_chain(config, "SWNAT-FROM-PORT", source_port),
           steering_chain(config, "SWNAT-FROM-ID", echo_id)}};
}

}  // namespace

std::vector<IptablesTable> iptables_tables(const Config& config) {
  return {raw_table(config), mangle_table(config)};
}

std::string iptables_jump(const IptablesTable& table) {
  return "-j " + table.chains.front().name;
}

}  // namespace swnat::rules
