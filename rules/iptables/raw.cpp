#include "rules/iptables/raw.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rules/iptables/namespaces.h"
#include "rules/iptables/steering.h"
#include "rules/iptables/words.h"
#include "rules/wanted/endpoint_rules.h"

namespace swnat::rules {
namespace {

// One family's chains.
class Raw {
 public:
  Raw(const Config& config, Family family)
      : config_(config), family_(family), word_(iptables_words(family)) {}

  IptablesTable table() const;

 private:
  std::vector<std::string> externals() const { return iptables_externals(config_, family_); }
  bool redirects() const { return !redirect_targets(config_, family_).empty(); }

  void add_ports(IptablesChain& chain, std::string_view verdict) const;
  void add_errors(IptablesChain& chain, std::string_view verdict) const;
  void add_redirects(IptablesChain& chain) const;
  void add_redirect_chains(std::vector<IptablesChain>& chains) const;
  void add_departing_chains(std::vector<IptablesChain>& chains) const;
  void add_steering_chains(std::vector<IptablesChain>& chains) const;
  IptablesChain entry_chain() const;
  IptablesChain other_chain() const;
  IptablesChain outside_chain() const;
  IptablesChain elsewhere_chain() const;
  IptablesChain tenant_chain() const;
  IptablesChain hairpin_chain() const;

  const Config& config_;
  Family family_;
  const IptablesWords& word_;
};

IptablesChain chain_called(std::string_view name) {
  return {std::string(name), {}};
}

std::string jump_to(std::string_view chain) {
  return fmt::format("-j {}", chain);
}

IptablesTable Raw::table() const {
  IptablesTable table{family_, "raw", {}};
  auto& chains = table.chains;
  chains.push_back(entry_chain());
  chains.push_back(other_chain());
  chains.push_back(outside_chain());
  iptables_add_namespaces(chains, config_, iptables_chain::by_namespace, iptables_chain::tenant);
  chains.push_back(tenant_chain());
  chains.push_back(hairpin_chain());
  if (redirects()) {
    chains.push_back(elsewhere_chain());
    add_redirect_chains(chains);
  }
  add_steering_chains(chains);
  add_departing_chains(chains);
  return table;
}

IptablesChain Raw::entry_chain() const {
  IptablesChain entry = chain_called(iptables_chain::in);
  entry.rules.push_back("-i lo -j RETURN");
  entry.rules.push_back(
      fmt::format("{} -g {}", iptables_spare_fwmark(config_), iptables_chain::other));
  entry.rules.push_back(fmt::format("{} -g {}", iptables_fwmark(config_, "! --mark 0x0"),
                                    iptables_chain::by_namespace));
  const std::string outside = fmt::format("-i {}", config_.external_interface);
  for (const std::string& address : externals()) {
    entry.rules.push_back(fmt::format("{} -d {} -j {}", outside, address, iptables_chain::outside));
    if (!redirects()) continue;
    entry.rules.push_back(
        fmt::format("! {} -d {} -j {}", outside, address, iptables_chain::elsewhere));
  }
  return entry;
}

IptablesChain Raw::other_chain() const {
  IptablesChain other = chain_called(iptables_chain::other);
  other.rules.push_back(fmt::format("-j MARK --set-xmark 0x0/{:#x}", config_.fwmark_mask));
  other.rules.push_back(iptables_first_queue(config_));
  return other;
}

// To a port that is the NAT's.
void Raw::add_ports(IptablesChain& chain, std::string_view verdict) const {
  for (const PortRange& range : config_.policy.ports.ranges()) {
    for (const std::string_view protocol : {"tcp", "udp"}) {
      chain.rules.push_back(fmt::format("-p {0} -m {0} --dport {1}:{2} {3}", protocol, range.first,
                                        range.last, verdict));
    }
  }
  for (const ProtocolEndpoint& each : forwarded_endpoints(config_, family_)) {
    chain.rules.push_back(fmt::format("{} {}", iptables_to_endpoint(each), verdict));
  }
}

void Raw::add_errors(IptablesChain& chain, std::string_view verdict) const {
  for (const std::string_view type : word_.errors) {
    chain.rules.push_back(fmt::format("{} {} {}", word_.icmp, type, verdict));
  }
}

std::string redirect_chain_name(std::size_t place) {
  return fmt::format("{}{}", iptables_chain::redirect, place + 1);
}

void Raw::add_redirects(IptablesChain& chain) const {
  const auto redirected = redirected_endpoints(config_, family_);
  for (std::size_t i = 0; i < redirected.size(); ++i) {
    std::set<std::string> addresses;
    for (const ProtocolEndpoint& each : redirected[i].from) {
      addresses.insert(iptables_host(each.endpoint.address));
    }
    for (const std::string& from : iptables_range(config_, redirected[i].namespaces)) {
      for (const std::string& address : addresses) {
        chain.rules.push_back(fmt::format("-d {} {} -j {}", address, from, redirect_chain_name(i)));
      }
    }
  }
}

// What goes to an address that tenants are redirected from. Fragments do not all have a port, and
// errors are rare: the engine knows what to do with them.
void Raw::add_redirect_chains(std::vector<IptablesChain>& chains) const {
  const auto redirected = redirected_endpoints(config_, family_);
  for (std::size_t i = 0; i < redirected.size(); ++i) {
    IptablesChain chain = chain_called(redirect_chain_name(i));
    for (const std::string_view protocol : {"tcp", "udp"}) {
      chain.rules.push_back(
          fmt::format("-p {} {} -j {}", protocol, u32(word_.fragment), iptables_chain::fragment));
    }
    for (const ProtocolEndpoint& each : redirected[i].from) {
      chain.rules.push_back(
          fmt::format("{} -j {}", iptables_to_endpoint(each), iptables_chain::from_port));
    }
    add_errors(chain, iptables_first_queue(config_));
    chains.push_back(std::move(chain));
  }
}

IptablesChain Raw::outside_chain() const {
  IptablesChain chain = chain_called(iptables_chain::outside);
  add_ports(chain, jump_to(iptables_chain::to_port));
  for (const PortRange& range : config_.policy.ports.ranges()) {
    const std::string ids = u32(
        fmt::format("{}{}={}:{}", word_.is_icmp, u32_echo_id(family_), range.first, range.last));
    chain.rules.push_back(
        fmt::format("{} {} {} -j {}", word_.icmp, word_.echo_reply, ids, iptables_chain::to_id));
  }
  add_errors(chain, iptables_first_queue(config_));
  return chain;
}

// Answers to redirected packets, and errors about them, from a network of the gateway's own.
IptablesChain Raw::elsewhere_chain() const {
  IptablesChain chain = chain_called(iptables_chain::elsewhere);
  for (const ProtocolEndpoint& each : redirect_targets(config_, family_)) {
    for (const PortRange& range : config_.policy.ports.ranges()) {
      chain.rules.push_back(fmt::format("-s {0} -p {1} -m {1} --sport {2} --dport {3}:{4} -j {5}",
                                        iptables_host(each.endpoint.address),
                                        iptables_protocol(each.protocol), each.endpoint.port,
                                        range.first, range.last, iptables_chain::to_port));
    }
  }
  add_errors(chain, iptables_first_queue(config_));
  return chain;
}

IptablesChain Raw::tenant_chain() const {
  IptablesChain chain = chain_called(iptables_chain::tenant);
  // What neighbours on a link send stays there.
  if (family_ == Family::ipv6) chain.rules.push_back("-s fe80::/10 -j RETURN");
  for (const std::string& address : externals()) {
    chain.rules.push_back(fmt::format("-d {} -j {}", address, iptables_chain::hairpin));
  }
  add_redirects(chain);
  return chain;
}

// To an external address, hence to another tenant, or an answer to what was redirected.
IptablesChain Raw::hairpin_chain() const {
  IptablesChain chain = chain_called(iptables_chain::hairpin);
  // All of a packet's fragments go to one queue, and not all of them have a port.
  if (takes_local_fragments(config_, family_)) {
    chain.rules.push_back(fmt::format("{} -j {}", u32(word_.fragment), iptables_chain::fragment));
  }
  add_ports(chain, jump_to(iptables_chain::to_port));
  // What a forwarded service answers to the gateway itself, whose ports are not the NAT's.
  for (const ProtocolEndpoint& each : forward_targets(config_, family_)) {
    chain.rules.push_back(fmt::format(
        "-s {0} -p {1} -m {1} --sport {2} -j {3}", iptables_host(each.endpoint.address),
        iptables_protocol(each.protocol), each.endpoint.port, iptables_chain::from_port));
  }
  add_errors(chain, iptables_first_queue(config_));
  return chain;
}

void Raw::add_steering_chains(std::vector<IptablesChain>& chains) const {
  const auto steer = [&](std::string_view name, std::string_view field) {
    chains.push_back(iptables_steering_chain(config_, name, field));
  };
  steer(iptables_chain::from_port, u32_source_port(family_));
  steer(iptables_chain::to_port, u32_destination_port(family_));
  steer(iptables_chain::to_id, u32_echo_id(family_));
  steer(iptables_chain::fragment, word_.fragment_id);
}

// From the gateway itself to an external address of its own. Not tracked: conntrack would know
// neither of the ends.
void Raw::add_departing_chains(std::vector<IptablesChain>& chains) const {
  IptablesChain entry = chain_called(iptables_chain::departing);
  for (const std::string& address : externals()) {
    entry.rules.push_back(fmt::format("-d {} -j {}", address, iptables_chain::to_itself));
  }
  IptablesChain own = chain_called(iptables_chain::to_itself);
  add_ports(own, jump_to(iptables_chain::its_port));
  add_errors(own, jump_to(iptables_chain::its_error));
  IptablesChain ports =
      iptables_steering_chain(config_, iptables_chain::its_port, u32_destination_port(family_));
  ports.rules.insert(ports.rules.begin(), "-j CT --notrack");
  chains.push_back(std::move(entry));
  chains.push_back(std::move(own));
  chains.push_back(std::move(ports));
  chains.push_back(
      {std::string(iptables_chain::its_error), {"-j CT --notrack", iptables_first_queue(config_)}});
}

}  // namespace

IptablesTable iptables_raw_table(const Config& config, Family family) {
  return Raw(config, family).table();
}

}  // namespace swnat::rules
