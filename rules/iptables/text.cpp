// Theory of operation
//
// The queue rules of the nft table's chains `incoming`, `departing` and `outgoing` as iptables
// rules (nft_text.cpp tells the way of a packet); all else stays in the nft table. They stand in
// the tables that see a packet where it must be seen: raw PREROUTING and OUTPUT, before conntrack,
// and mangle POSTROUTING. They are the last there, since a queue's verdict ends a table: the
// operator's own rules come first. What a queue accepts goes on with the next table, and meets the
// guard in the nft table.
//
// What only nft can find out it tells by a fwmark that names no namespace, which is taken away
// again: in raw, protocols without ports that a tenant spoke with that host; in mangle, what is to
// be left alone.
//
// Steering is by `u32`, which reads four bytes of the packet: "0>>22&0x3C@" skips the IPv4 header,
// then come the place, a shift and a mask. It cannot skip an unknown number of IPv6 headers, so it
// is right for packets that have one; others may meet another queue than they should, which costs
// time only. The last queue takes what is left, so no packet falls through.
#include "rules/iptables/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "rules/iptables/words.h"
#include "rules/wanted/bit_tree.h"
#include "rules/wanted/endpoint_rules.h"
#include "rules/wanted/spare_fwmark.h"
#include "rules/wanted/steering.h"
#include "rules/wanted/tenant.h"

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
  std::string first_queue() const { return queue(config_.first_queue); }
  IptablesChain steering_chain(std::string name, std::string_view field) const;
  std::string source_port() const { return u32_behind_header(family_, 0) + ">>16"; }
  std::string destination_port() const { return u32_behind_header(family_, 0); }
  std::string echo_id() const { return u32_behind_header(family_, 4) + ">>16"; }

  std::vector<std::string> externals() const;
  std::string fwmark_match(std::string_view fwmark) const;
  std::string spare_match() const;
  void add_namespaces(std::vector<IptablesChain>& chains, const std::string& name,
                      std::string_view target) const;
  void add_node(const BitNode& node, std::vector<IptablesChain>& chains, const std::string& name,
                std::string_view target) const;

  void add_ports(IptablesChain& chain, std::string_view verdict) const;
  void add_errors(IptablesChain& chain, std::string_view verdict) const;
  void add_redirects(IptablesChain& chain) const;
  void add_redirect_chains(std::vector<IptablesChain>& chains) const;
  IptablesChain entry_chain() const;
  IptablesChain outside_chain() const;
  IptablesChain elsewhere_chain() const;
  IptablesChain tenant_chain() const;
  IptablesChain hairpin_chain() const;
  IptablesChain outbound_chain() const;
  void add_departing_chains(std::vector<IptablesChain>& chains) const;

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

std::string Rules::fwmark_match(std::string_view fwmark) const {
  return fmt::format("-m mark {}/{:#x}", fwmark, config_.fwmark_mask);
}

std::string Rules::spare_match() const {
  return fwmark_match(fmt::format("--mark {:#x}", required_spare_fwmark(config_)));
}

// A range is cut into pieces that one mask each can tell.
std::vector<BitString> pieces_of(const NamespaceRange& range) {
  std::vector<BitString> all;
  const std::uint64_t end = std::uint64_t{range.last} + 1;
  for (std::uint64_t first = range.first; first < end;) {
    std::uint64_t size = first & -first;
    if (size == 0) size = std::uint64_t{1} << 32;
    while (first + size > end) size /= 2;
    BitString piece = bits_of(static_cast<std::uint32_t>(first));
    piece.length = 32 - static_cast<unsigned>(std::countr_zero(size));
    all.push_back(piece);
    first += size;
  }
  return all;
}

std::string piece_match(const BitString& piece, std::uint32_t mask) {
  const std::uint32_t first = piece.length == 0 ? 0 : ~std::uint32_t{0} << (32 - piece.length);
  return fmt::format("-m mark --mark {:#x}/{:#x}", number_of(piece), mask & first);
}

// What has the fwmark of a namespace goes to the target; a few rules, however many there are.
void Rules::add_namespaces(std::vector<IptablesChain>& chains, const std::string& name,
                           std::string_view target) const {
  std::vector<BitString> all;
  for (const NamespaceRange& range : namespace_ranges(config_)) {
    for (const BitString& piece : pieces_of(range)) all.push_back(piece);
  }
  add_node(bit_tree(std::move(all)), chains, name, target);
}

void Rules::add_node(const BitNode& node, std::vector<IptablesChain>& chains,
                     const std::string& name, std::string_view target) const {
  const std::size_t place = chains.size();
  chains.push_back({name, {}});
  for (const BitString& leaf : node.leaves) {
    chains[place].rules.push_back(
        fmt::format("{} -g {}", piece_match(leaf, config_.fwmark_mask), target));
  }
  for (const BitNode& child : node.children) {
    const std::string below = fmt::format("{}-{:x}", name, number_of(child.prefix));
    chains[place].rules.push_back(
        fmt::format("{} -g {}", piece_match(child.prefix, config_.fwmark_mask), below));
    add_node(child, chains, below, target);
  }
}

// To a port that is the NAT's.
void Rules::add_ports(IptablesChain& chain, std::string_view verdict) const {
  for (const PortRange& range : config_.ports.ranges()) {
    for (const std::string_view protocol : {"tcp", "udp"}) {
      chain.rules.push_back(fmt::format("-p {0} -m {0} --dport {1}:{2} {3}", protocol, range.first,
                                        range.last, verdict));
    }
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
    const NamespaceRange& range = redirected[i].namespaces;
    std::vector<std::string> senders;
    if (range.first <= 1 && range.last >= config_.fwmark_mask) {
      senders = {fwmark_match("! --mark 0x0")};
    } else {
      for (const BitString& piece : pieces_of(range)) {
        senders.push_back(piece_match(piece, config_.fwmark_mask));
      }
    }
    for (const std::string& from : senders) {
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
    add_errors(chain, first_queue());
    chains.push_back(std::move(chain));
  }
}

IptablesChain Rules::entry_chain() const {
  IptablesChain chain{"SWNAT-IN", {"-i lo -j RETURN"}};
  chain.rules.push_back(spare_match() + " -g SWNAT-OTHER");
  chain.rules.push_back(fwmark_match("! --mark 0x0") + " -g SWNAT-NAMESPACE");
  const std::string outside = fmt::format("-i {}", config_.external_interface);
  for (const std::string& address : externals()) {
    chain.rules.push_back(fmt::format("{} -d {} -j SWNAT-OUTSIDE", outside, address));
    if (redirect_targets(config_, family_).empty()) continue;
    chain.rules.push_back(fmt::format("! {} -d {} -j SWNAT-ELSEWHERE", outside, address));
  }
  return chain;
}

IptablesChain Rules::outside_chain() const {
  IptablesChain chain{"SWNAT-OUTSIDE", {}};
  add_ports(chain, "-j SWNAT-TO-PORT");
  for (const PortRange& range : config_.ports.ranges()) {
    const std::string ids =
        u32(fmt::format("{}{}={}:{}", word_.is_icmp, echo_id(), range.first, range.last));
    chain.rules.push_back(
        fmt::format("{} {} {} -j SWNAT-TO-ID", word_.icmp, word_.echo_reply, ids));
  }
  add_errors(chain, first_queue());
  return chain;
}

// Answers to redirected packets, and errors about them, from a network of the gateway's own.
IptablesChain Rules::elsewhere_chain() const {
  IptablesChain chain{"SWNAT-ELSEWHERE", {}};
  for (const ProtocolEndpoint& each : redirect_targets(config_, family_)) {
    for (const PortRange& range : config_.ports.ranges()) {
      chain.rules.push_back(
          fmt::format("-s {0} -p {1} -m {1} --sport {2} --dport {3}:{4} -j SWNAT-TO-PORT",
                      host(each.endpoint.address), name_of(each.protocol), each.endpoint.port,
                      range.first, range.last));
    }
  }
  add_errors(chain, first_queue());
  return chain;
}

IptablesChain Rules::tenant_chain() const {
  IptablesChain chain{"SWNAT-TENANT", {}};
  // What neighbours on a link send stays there.
  if (family_ == Family::ipv6) chain.rules.push_back("-s fe80::/10 -j RETURN");
  for (const std::string& address : externals()) {
    chain.rules.push_back(fmt::format("-d {} -j SWNAT-HAIRPIN", address));
  }
  add_redirects(chain);
  return chain;
}

// To an external address, hence to another tenant, or an answer to what was redirected.
IptablesChain Rules::hairpin_chain() const {
  IptablesChain chain{"SWNAT-HAIRPIN", {}};
  // All of a packet's fragments go to one queue, and not all of them have a port.
  if (takes_local_fragments(config_, family_)) {
    chain.rules.push_back(u32(word_.fragment) + " -j SWNAT-FRAGMENT");
  }
  add_ports(chain, "-j SWNAT-TO-PORT");
  // What a forwarded service answers to the gateway itself, whose ports are not the NAT's.
  for (const ProtocolEndpoint& each : forward_targets(config_, family_)) {
    chain.rules.push_back(fmt::format("-s {0} -p {1} -m {1} --sport {2} -j SWNAT-FROM-PORT",
                                      host(each.endpoint.address), name_of(each.protocol),
                                      each.endpoint.port));
  }
  add_errors(chain, first_queue());
  return chain;
}

// From the gateway itself to an external address of its own. Not tracked: conntrack would know
// neither of the ends.
void Rules::add_departing_chains(std::vector<IptablesChain>& chains) const {
  IptablesChain entry{"SWNAT-DEPARTING", {}};
  for (const std::string& address : externals()) {
    entry.rules.push_back(fmt::format("-d {} -j SWNAT-TO-ITSELF", address));
  }
  IptablesChain own{"SWNAT-TO-ITSELF", {}};
  add_ports(own, "-j SWNAT-ITS-PORT");
  add_errors(own, "-j SWNAT-ITS-ERROR");
  IptablesChain ports = steering_chain("SWNAT-ITS-PORT", destination_port());
  ports.rules.insert(ports.rules.begin(), "-j CT --notrack");
  chains.push_back(std::move(entry));
  chains.push_back(std::move(own));
  chains.push_back(std::move(ports));
  chains.push_back({"SWNAT-ITS-ERROR", {"-j CT --notrack", first_queue()}});
}

IptablesTable Rules::raw_table() const {
  IptablesTable table{family_, "raw", {}};
  auto& chains = table.chains;
  chains.push_back(entry_chain());
  chains.push_back(
      {"SWNAT-OTHER",
       {fmt::format("-j MARK --set-xmark 0x0/{:#x}", config_.fwmark_mask), first_queue()}});
  chains.push_back(outside_chain());
  add_namespaces(chains, "SWNAT-NAMESPACE", "SWNAT-TENANT");
  chains.push_back(tenant_chain());
  chains.push_back(hairpin_chain());
  if (!redirect_targets(config_, family_).empty()) {
    chains.push_back(elsewhere_chain());
    add_redirect_chains(chains);
  }
  chains.push_back(steering_chain("SWNAT-FROM-PORT", source_port()));
  chains.push_back(steering_chain("SWNAT-TO-PORT", destination_port()));
  chains.push_back(steering_chain("SWNAT-TO-ID", echo_id()));
  chains.push_back(steering_chain("SWNAT-FRAGMENT", word_.fragment_id));
  add_departing_chains(chains);
  return table;
}

// What has no port has nothing to go by. The engine knows what to do with it.
IptablesChain Rules::outbound_chain() const {
  return {"SWNAT-OUTBOUND",
          {u32(word_.fragment) + " -j SWNAT-FRAGMENT", "-p tcp -j SWNAT-FROM-PORT",
           "-p udp -j SWNAT-FROM-PORT",
           fmt::format("{} {} -j SWNAT-FROM-ID", word_.icmp, word_.echo_request), first_queue()}};
}

IptablesTable Rules::mangle_table() const {
  IptablesTable table{family_, "mangle", {}};
  auto& chains = table.chains;
  chains.push_back({"SWNAT-OUT",
                    {fmt::format("! -o {} -j RETURN", config_.external_interface),
                     fwmark_match("--mark 0x0") + " -j RETURN", spare_match() + " -j RETURN",
                     "-j SWNAT-SENDER"}});
  add_namespaces(chains, "SWNAT-SENDER", "SWNAT-OUTBOUND");
  chains.push_back(outbound_chain());
  chains.push_back(steering_chain("SWNAT-FROM-PORT", source_port()));
  chains.push_back(steering_chain("SWNAT-FROM-ID", echo_id()));
  chains.push_back(steering_chain("SWNAT-FRAGMENT", word_.fragment_id));
  return table;
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

std::string iptables_program(Family family, std::string_view suffix) {
  return fmt::format("{}{}", family == Family::ipv4 ? "iptables" : "ip6tables", suffix);
}

}  // namespace swnat::rules
