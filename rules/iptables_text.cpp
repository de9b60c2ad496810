// Theory of operation
//
// The chains `incoming` and `outgoing` of the nft table as iptables rules (nft_text.cpp tells the
// way of a packet); all others stay in the nft table. They stand in the tables that see a packet
// where it must be seen: raw PREROUTING, before conntrack, and mangle POSTROUTING. What a queue
// accepts goes on with the next table, so nothing in these chains meets a translated packet, and
// the guard in the nft table does.
//
// Steering is by `u32`, which reads four bytes of the packet: "0>>22&0x3C@" skips the IPv4 header,
// then come the place, a shift and a mask. It cannot skip an unknown number of IPv6 headers, so it
// is right for packets that have one; others may meet another queue than they should, which costs
// time only. The last queue takes what is left, so no packet falls through.
#include "rules/iptables_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "rules/endpoint_rules.h"
#include "rules/iptables_words.h"
#include "rules/spare_fwmark.h"
#include "rules/steering.h"
#include "rules/tenant.h"

namespace swnat::rules {
namespace {

// One family's rules.
class Rules {
 public:
  Rules(const Config& config, Family family)
      : config_(config), family_(family), word_(iptables_words(family)) {}

  IptablesTable raw_table() const;
  IptablesTable mangle_table() const;

 private:
  std::string queue(std::uint32_t number) const;
  IptablesChain steering_chain(std::string name, std::string_view field) const;
  std::string source_port() const { return u32_behind_header(family_, 0) + ">>16"; }
  std::string destination_port() const { return u32_behind_header(family_, 0); }
  std::string echo_id() const { return u32_behind_header(family_, 4) + ">>16"; }
  std::string quoted_port() const {
    return u32_behind_header(family_, word_.quoted_ports) + ">>16";
  }
  std::string quoted_id() const {
    return u32_behind_header(family_, word_.quoted_ports + 4) + ">>16";
  }

  std::vector<std::string> externals() const;
  std::string ports() const;
  std::string to_ports() const;
  std::string fwmark_match(std::string_view fwmark) const;
  std::vector<std::string> namespace_matches(const NamespaceRange& range) const;

  void add_ports(IptablesChain& chain, std::string_view verdict) const;
  void add_errors(IptablesChain& chain, std::string_view verdict) const;
  void add_redirects(IptablesChain& chain) const;
  void add_redirect_chains(std::vector<IptablesChain>& chains) const;
  IptablesChain entry_chain() const;
  IptablesChain outside_chain() const;
  IptablesChain answer_chain() const;
  IptablesChain hairpin_chain() const;
  IptablesChain error_chain() const;
  IptablesChain exit_chain() const;
  IptablesChain outbound_chain() const;

  const Config& config_;
  Family family_;
  const IptablesWords& word_;
};

std::string_view name_of(std::uint8_t protocol) {
  return protocol == 6 ? "tcp" : "udp";
}

std::string host(const IpAddress& address) {
  return to_text(network_of(address));
}

// "-d 203.0.113.1/32 -p tcp -m tcp --dport 80"
std::string to_endpoint(const ProtocolEndpoint& each) {
  return fmt::format("-d {0} -p {1} -m {1} --dport {2}", host(each.endpoint.address),
                     name_of(each.protocol), each.endpoint.port);
}

// The same for packets from outside, which conntrack must not see: it would know neither of their
// ends.
IptablesChain untracked(IptablesChain chain) {
  chain.rules.insert(chain.rules.begin(), "-j CT --notrack");
  return chain;
}

std::string Rules::queue(std::uint32_t number) const {
  return fmt::format("-j NFQUEUE --queue-num {}{}", number,
                     config_.fail_open ? " --queue-bypass" : "");
}

// Sends all that enters it to the queue that the bits of `field` name.
IptablesChain Rules::steering_chain(std::string name, std::string_view field) const {
  IptablesChain chain{std::move(name), {}};
  const std::vector<Steering> all = steerings(config_);
  for (const Steering& each : all) {
    const bool last = &each == &all.back();
    const std::string match =
        last
            ? ""
            : u32(fmt::format("{}&{:#x}={:#x}", field, steering_mask(config_.workers), each.bits)) +
                  " ";
    chain.rules.push_back(match + queue(each.queue));
  }
  return chain;
}

std::vector<std::string> Rules::externals() const {
  std::vector<std::string> all;
  for (const IpAddress& each : config_.external_addresses) {
    if (family_of(each) == family_) all.push_back(host(each));
  }
  return all;
}

std::string Rules::ports() const {
  std::vector<std::string> all;
  for (const PortRange& each : config_.ports.ranges()) {
    all.push_back(fmt::format("{}:{}", each.first, each.last));
  }
  return fmt::format("{}", fmt::join(all, ","));
}

std::string Rules::to_ports() const {
  return (config_.ports.has_gaps() ? "-m multiport --dports " : "--dport ") + ports();
}

std::string Rules::fwmark_match(std::string_view fwmark) const {
  return fmt::format("-m mark {}/{:#x}", fwmark, config_.fwmark_mask);
}

// A range is cut into pieces that one mask each can tell.
std::vector<std::string> Rules::namespace_matches(const NamespaceRange& range) const {
  if (range.first <= 1 && range.last >= config_.fwmark_mask) return {fwmark_match("! --mark 0x0")};
  std::vector<std::string> all;
  const std::uint64_t end = std::uint64_t{std::min(range.last, config_.fwmark_mask)} + 1;
  for (std::uint64_t first = range.first; first < end;) {
    std::uint64_t size = first & -first;
    while (first + size > end) size /= 2;
    all.push_back(fmt::format("-m mark --mark {:#x}/{:#x}", first,
                              config_.fwmark_mask & ~static_cast<std::uint32_t>(size - 1)));
    first += size;
  }
  return all;
}

// To a port that is the NAT's.
void Rules::add_ports(IptablesChain& chain, std::string_view verdict) const {
  for (const std::string_view protocol : {"tcp", "udp"}) {
    chain.rules.push_back(fmt::format("-p {0} -m {0} {1} {2}", protocol, to_ports(), verdict));
  }
  for (const ProtocolEndpoint& each : forwarded_endpoints(config_, family_)) {
    chain.rules.push_back(fmt::format("{} {}", to_endpoint(each), verdict));
  }
}

void Rules::add_errors(IptablesChain& chain, std::string_view verdict) const {
  for (const std::string_view type : word_.errors) {
    chain.rules.push_back(fmt::format("{} {} {}", word_.icmp, type, verdict));
  }
}

std::string redirect_chain_name(std::size_t place) {
  return fmt::format("SWNAT-REDIRECT-{}", place + 1);
}

void Rules::add_redirects(IptablesChain& chain) const {
  const auto redirected = redirected_endpoints(config_, family_);
  for (std::size_t i = 0; i < redirected.size(); ++i) {
    std::set<std::string> addresses;
    for (const ProtocolEndpoint& each : redirected[i].from) {
      addresses.insert(host(each.endpoint.address));
    }
    for (const std::string& from : namespace_matches(redirected[i].namespaces)) {
      for (const std::string& address : addresses) {
        chain.rules.push_back(fmt::format("-d {} {} -j {}", address, from, redirect_chain_name(i)));
      }
    }
  }
}

// What goes to an address that tenants are redirected from. Fragments do not all have a port, and
// errors are rare: the engine knows what to do with them.
void Rules::add_redirect_chains(std::vector<IptablesChain>& chains) const {
  const auto redirected = redirected_endpoints(config_, family_);
  for (std::size_t i = 0; i < redirected.size(); ++i) {
    IptablesChain chain{redirect_chain_name(i), {}};
    for (const std::string_view protocol : {"tcp", "udp"}) {
      chain.rules.push_back(
          fmt::format("-p {} {} -j SWNAT-FRAGMENT", protocol, u32(word_.fragment)));
    }
    for (const ProtocolEndpoint& each : redirected[i].from) {
      chain.rules.push_back(to_endpoint(each) + " -j SWNAT-FROM-PORT");
    }
    add_errors(chain, queue(config_.first_queue));
    chains.push_back(std::move(chain));
  }
}

IptablesChain Rules::entry_chain() const {
  IptablesChain chain{"SWNAT-IN", {}};
  const std::string outside = fmt::format("-i {}", config_.external_interface);
  if (const auto spare = spare_fwmark(config_)) {
    chain.rules.push_back(fmt::format("{} {} -g SWNAT-OWN", outside,
                                      fwmark_match(fmt::format("--mark {:#x}", *spare))));
  }
  for (const std::string& address : externals()) {
    chain.rules.push_back(fmt::format("{} -d {} -j SWNAT-OUTSIDE", outside, address));
  }
  chain.rules.push_back(outside + " -j RETURN");
  // What neighbours on a link send stays there.
  if (family_ == Family::ipv6) chain.rules.push_back("-s fe80::/10 -j RETURN");
  if (!redirect_targets(config_, family_).empty()) {
    for (const std::string& address : externals()) {
      chain.rules.push_back(fmt::format("-d {} -j SWNAT-ANSWER", address));
    }
    add_redirects(chain);
  }
  for (const std::string& address : externals()) {
    chain.rules.push_back(
        fmt::format("-d {} {} -j SWNAT-HAIRPIN", address, fwmark_match("! --mark 0x0")));
  }
  return chain;
}

IptablesChain Rules::outside_chain() const {
  IptablesChain chain{"SWNAT-OUTSIDE", {}};
  add_ports(chain, "-j SWNAT-TO-PORT");
  chain.rules.push_back(
      fmt::format("{} {} {} -j SWNAT-TO-ID", word_.icmp, word_.echo_reply,
                  u32(fmt::format("{}{}={}", word_.is_icmp, echo_id(), ports()))));
  add_errors(chain, "-j SWNAT-ERROR");
  // A protocol without ports gets as far as this if a tenant spoke it with that host; else the nft
  // table gave it the fwmark of the gateway's own.
  if (!spare_fwmark(config_)) return chain;
  for (const int protocol : {1, 6, 17, 58}) {
    chain.rules.push_back(fmt::format("-p {} -j RETURN", protocol));
  }
  chain.rules.push_back("-j SWNAT-OTHER");
  return chain;
}

// Answers to redirected packets, from a tenant or by whichever interface.
IptablesChain Rules::answer_chain() const {
  IptablesChain chain{"SWNAT-ANSWER", {}};
  for (const ProtocolEndpoint& each : redirect_targets(config_, family_)) {
    chain.rules.push_back(fmt::format(
        "-s {0} -p {1} -m {1} --sport {2} {3}"
        " -j SWNAT-TO-PORT",
        host(each.endpoint.address), name_of(each.protocol), each.endpoint.port, to_ports()));
  }
  add_errors(chain, "-j SWNAT-ERROR");
  return chain;
}

IptablesChain Rules::hairpin_chain() const {
  IptablesChain chain{"SWNAT-HAIRPIN", {}};
  // All of a packet's fragments go to one queue, and not all of them have a port.
  if (takes_local_fragments(config_, family_)) {
    chain.rules.push_back(u32(word_.fragment) + " -j SWNAT-FRAGMENT");
  }
  if (!config_.hairpin) {
    add_ports(chain, "-j DROP");
    return chain;
  }
  add_ports(chain, "-j SWNAT-TO-PORT");
  add_errors(chain, "-j SWNAT-ERROR");
  return chain;
}

// What an ICMP error quotes must be a packet that the NAT may have sent. Others the NAT cannot own;
// the gateway may look at them.
IptablesChain Rules::error_chain() const {
  IptablesChain chain{"SWNAT-ERROR", {}};
  chain.rules.push_back(fmt::format(
      "{} -j SWNAT-ERROR-PORT",
      u32(fmt::format("{}{}&&{}={}", word_.is_icmp, word_.quotes_ports, quoted_port(), ports()))));
  chain.rules.push_back(fmt::format(
      "{} -j SWNAT-ERROR-ID",
      u32(fmt::format("{}{}&&{}={}", word_.is_icmp, word_.quotes_request, quoted_id(), ports()))));
  for (const ProtocolEndpoint& each : forwarded_endpoints(config_, family_)) {
    std::string tests = fmt::format("{}{}&&{}={}", word_.is_icmp, word_.quotes_ports, quoted_port(),
                                    each.endpoint.port);
    unsigned place = word_.quoted_source;
    for (const std::uint32_t part : u32_words(each.endpoint.address)) {
      tests += fmt::format("&&{}={:#x}", u32_behind_header(family_, place), part);
      place += 4;
    }
    chain.rules.push_back(fmt::format("{} -j SWNAT-ERROR-PORT", u32(tests)));
  }
  return chain;
}

IptablesTable Rules::raw_table() const {
  IptablesTable table{family_, "raw", "PREROUTING", {}};
  auto& chains = table.chains;
  chains.push_back(entry_chain());
  // What the nft table told by this fwmark goes on behind the entry chain.
  chains.push_back(
      {"SWNAT-OWN", {fmt::format("-j MARK --set-xmark 0x0/{:#x}", config_.fwmark_mask)}});
  chains.push_back(outside_chain());
  if (!redirect_targets(config_, family_).empty()) {
    chains.push_back(answer_chain());
    add_redirect_chains(chains);
    chains.push_back(steering_chain("SWNAT-FROM-PORT", source_port()));
  }
  chains.push_back(hairpin_chain());
  chains.push_back(error_chain());
  chains.push_back(untracked(steering_chain("SWNAT-TO-PORT", destination_port())));
  chains.push_back(untracked(steering_chain("SWNAT-TO-ID", echo_id())));
  chains.push_back(untracked(steering_chain("SWNAT-ERROR-PORT", quoted_port())));
  chains.push_back(untracked(steering_chain("SWNAT-ERROR-ID", quoted_id())));
  chains.push_back(untracked({"SWNAT-OTHER", {queue(config_.first_queue)}}));
  chains.push_back(steering_chain("SWNAT-FRAGMENT", word_.fragment_id));
  return table;
}

IptablesChain Rules::exit_chain() const {
  // The gateway's own reports of multicast groups come first: their fwmark means nothing.
  IptablesChain chain{"SWNAT-OUT", word_.own_reports};
  for (const Tenant& tenant : tenants(config_)) {
    for (const std::string& from : texts(tenant.sources, family_)) {
      for (const std::string& to : texts(tenant.untranslated, family_)) {
        chain.rules.push_back(
            fmt::format("-o {} {} -s {} -d {} -j RETURN", config_.external_interface,
                        fwmark_match(fmt::format("--mark {:#x}", tenant.fwmark)), from, to));
      }
    }
  }
  chain.rules.push_back(fmt::format("-o {} {} -j SWNAT-OUTBOUND", config_.external_interface,
                                    fwmark_match("! --mark 0x0")));
  return chain;
}

// What has no port has nothing to go by. The engine knows what to do with it.
IptablesChain Rules::outbound_chain() const {
  return {"SWNAT-OUTBOUND",
          {u32(word_.fragment) + " -j SWNAT-FRAGMENT", "-p tcp -j SWNAT-FROM-PORT",
           "-p udp -j SWNAT-FROM-PORT",
           fmt::format("{} {} -j SWNAT-FROM-ID", word_.icmp, word_.echo_request),
           queue(config_.first_queue)}};
}

IptablesTable Rules::mangle_table() const {
  return {family_,
          "mangle",
          "POSTROUTING",
          {exit_chain(), outbound_chain(), steering_chain("SWNAT-FROM-PORT", source_port()),
           steering_chain("SWNAT-FROM-ID", echo_id()),
           steering_chain("SWNAT-FRAGMENT", word_.fragment_id)}};
}

}  // namespace

std::vector<IptablesTable> iptables_tables(const Config& config) {
  std::vector<IptablesTable> all;
  for (const Family family : all_families) {
    if (!is_translated(config, family)) continue;
    const Rules rules(config, family);
    all.push_back(rules.raw_table());
    all.push_back(rules.mangle_table());
  }
  return all;
}

std::string iptables_jump(const IptablesTable& table) {
  return "-j " + table.chains.front().name;
}

std::string iptables_program(Family family, std::string_view suffix) {
  return fmt::format("{}{}", family == Family::ipv4 ? "iptables" : "ip6tables", suffix);
}

}  // namespace swnat::rules
