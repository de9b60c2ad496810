// Theory of operation
//
// A packet meets up to six chains, each at a fixed place on its way:
//
// - own: output. The gateway's own pings are noted for a minute, because their replies look like a
//   tenant's: nothing reserves ICMP ids as ports are reserved.
// - early: prerouting, before the kernel puts fragments together (-400). What enters by a tenant's
//   interface is exempt from that (untracked), or two tenants' fragments with the same addresses
//   and id could become one packet. It gets its namespace's fwmark, and goes on only with a source
//   that the namespace may have. A namespace without interfaces gets its fwmark from the
//   operator's rules, which must also set notrack, or a conntrack zone for each namespace, before
//   -400.
// - incoming: prerouting, just before the raw table (-300) and so before conntrack (-200). What
//   comes from outside for an external address and a port that the NAT may have handed out, and
//   hairpins, go to a queue.
// - apart: forward. Nothing reaches a tenant that is another tenant's, or that comes from outside
//   and was not translated.
// - outgoing: postrouting, where mangle is. What has a namespace's fwmark and leaves by the
//   external interface goes to a queue.
// - guard: postrouting, behind the queue. Nothing leaves by the external interface untranslated.
//
// A queue without a listener drops. The base chains are the same in every version of the table, and
// are never removed while the daemon runs, because removing one drops what waits in all queues.
#include "rules/nft_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "rules/spare_fwmark.h"
#include "rules/steering.h"
#include "rules/tenant.h"

namespace swnat::rules {
namespace {

constexpr std::string_view base = R"(table inet swnat {
	set own_pings { typeof ip daddr . icmp id; flags dynamic, timeout; timeout 1m; size 65535; }
	set own_ping_ids { typeof icmp id; flags dynamic, timeout; timeout 1m; size 65535; }
	chain own { type filter hook output priority -300; policy accept; }
	chain early { type filter hook prerouting priority -450; policy accept; }
	chain incoming { type filter hook prerouting priority -305; policy accept; }
	chain apart { type filter hook forward priority 300; policy accept; }
	chain outgoing { type filter hook postrouting priority -150; policy accept; }
	chain guard { type filter hook postrouting priority 300; policy accept; }
}
flush table inet swnat
)";

// In the words of nft, for the whole table.
struct Words {
  std::string external_interface;
  std::string externals;   // a set of addresses
  std::string interfaces;  // a set of the tenants' interfaces; empty if there are none
  std::string all_sides;   // the same and the external interface
  std::string fwmark;      // the bits that name a namespace
  std::string ports;
};

std::string quoted_set(const std::vector<std::string>& names) {
  return fmt::format("{{ \"{}\" }}", fmt::join(names, "\", \""));
}

Words words(const Config& config) {
  Words all;
  all.external_interface = fmt::format("\"{}\"", config.external_interface);
  std::vector<std::string> addresses;
  for (const Ipv4Address address : of_family<Ipv4Address>(config.external_addresses)) {
    addresses.push_back(to_text(address));
  }
  all.externals = fmt::format("{{ {} }}", fmt::join(addresses, ", "));
  std::vector<std::string> interfaces = tenant_interfaces(config);
  if (!interfaces.empty()) all.interfaces = quoted_set(interfaces);
  interfaces.push_back(config.external_interface);
  all.all_sides = quoted_set(interfaces);
  all.fwmark = fmt::format("meta mark & {:#x}", config.fwmark_mask);
  all.ports = fmt::format("{}-{}", config.ports.first, config.ports.last);
  return all;
}

class Chain {
 public:
  explicit Chain(std::string_view name) : text_(fmt::format("\tchain {} {{\n", name)) {}

  void comment(std::string_view text) { text_ += fmt::format("\t\t# {}\n", text); }
  template <class... Args>
  void rule(fmt::format_string<Args...> format, Args&&... args) {
    text_ += "\t\t" + fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  std::string end() const { return text_ + "\t}\n"; }

 private:
  std::string text_;
};

// Sends to the queue that the bits of `field` name.
std::string queue_by(const Config& config, std::string_view field) {
  if (config.workers == 1) return fmt::format("queue to {}", config.first_queue);
  std::vector<std::string> entries;
  for (const Steering& each : steerings(config)) {
    entries.push_back(fmt::format("{} : {}", each.bits, each.queue));
  }
  return fmt::format("queue to {} & {} map {{ {} }}", field, steering_mask(config.workers),
                     fmt::join(entries, ", "));
}

std::string set_fwmark(const Config& config, std::uint32_t fwmark) {
  if (~config.fwmark_mask == 0) return fmt::format("meta mark set {:#x}", fwmark);
  return fmt::format("meta mark set meta mark & {:#x} | {:#x}", ~config.fwmark_mask, fwmark);
}

std::string own_chain(const Words& word) {
  Chain chain("own");
  chain.rule(
      "oifname {} {} == 0 ip saddr {} icmp type echo-request icmp id {}"
      " update @own_pings {{ ip daddr . icmp id }} update @own_ping_ids {{ icmp id }}",
      word.external_interface, word.fwmark, word.externals, word.ports);
  return chain.end();
}

std::string early_chain(const Config& config, Format format, const Words& word) {
  Chain chain("early");
  if (word.interfaces.empty()) return chain.end();
  const bool iptables = format == Format::iptables;
  chain.rule("iifname {} accept", word.external_interface);
  chain.comment("Untracked: the kernel does not put tenants' fragments together.");
  chain.rule("iifname {} notrack", word.interfaces);
  if (iptables) chain.comment("Of IPv4 the iptables rules take care.");
  for (const Tenant& tenant : tenants(config)) {
    chain.rule("iifname {} {}{} comment \"{}\"", quoted_set(tenant.interfaces),
               iptables ? "meta nfproto ipv6 " : "", set_fwmark(config, tenant.fwmark),
               tenant.name);
  }
  chain.comment("To the gateway itself a fragment would meet other tenants' after all.");
  chain.rule(
      "iifname {} ip frag-off & 0x3fff != 0 {}fib daddr type {{ local, broadcast, multicast }}"
      " counter drop",
      word.interfaces, config.hairpin ? fmt::format("ip daddr != {} ", word.externals) : "");
  if (iptables) return chain.end();
  chain.comment("No tenant may send from what is not its own. A DHCP client has no address yet.");
  chain.rule(
      "iifname {} ip saddr 0.0.0.0 ip frag-off & 0x1fff == 0 udp sport 68 udp dport 67 accept",
      word.interfaces);
  std::vector<std::string> sources;
  for (const Tenant& tenant : tenants(config)) {
    for (const std::string& interface : tenant.interfaces) {
      for (const auto& subnet : of_family<Network<Ipv4Address>>(tenant.sources)) {
        sources.push_back(fmt::format("\"{}\" . {}", interface, to_text(subnet)));
      }
    }
  }
  chain.rule("iifname {} iifname . ip saddr != {{ {} }} counter drop", word.interfaces,
             fmt::join(sources, ", "));
  return chain.end();
}

// Later fragments have payload where the others have ports and ids.
constexpr std::string_view port_protocols = "meta l4proto { tcp, udp } ip frag-off & 0x1fff == 0";
// An ICMP error quotes the packet that it is about: an IPv4 header without options, and not of a
// later fragment, then the sender's port or id. Others the NAT cannot own; the gateway may look at
// them.
constexpr std::string_view icmp_error =
    "ip frag-off & 0x1fff == 0"
    " icmp type { destination-unreachable, time-exceeded, parameter-problem }"
    " @th,64,8 0x45 @th,112,16 & 0x1fff == 0";
constexpr std::string_view quoted_port = "@th,224,16";
constexpr std::string_view quoted_id = "@th,256,16";

// ICMP errors about packets that the NAT sent.
void queue_errors(const Config& config, const Words& word, std::string_view match, Chain& chain) {
  chain.rule("{} ip daddr {} {} @th,136,8 {{ 6, 17 }} {} {} notrack {}", match, word.externals,
             icmp_error, quoted_port, word.ports, queue_by(config, quoted_port));
  chain.rule("{} ip daddr {} {} @th,136,8 1 @th,224,8 8 {} {} notrack {}", match, word.externals,
             icmp_error, quoted_id, word.ports, queue_by(config, quoted_id));
}

void queue_hairpins(const Config& config, const Words& word, Chain& chain) {
  const std::string match = fmt::format("{} != 0", word.fwmark);
  if (!config.hairpin) {
    chain.comment("From a tenant to a port that the NAT owns: hairpinning is off.");
    chain.rule("{} ip daddr {} {} th dport {} counter drop", match, word.externals, port_protocols,
               word.ports);
    return;
  }
  chain.comment(
      "From a tenant to an external address, hence to a tenant. Later fragments have no port.");
  chain.rule("{} ip daddr {} {} th dport {} {}", match, word.externals, port_protocols, word.ports,
             queue_by(config, "th dport"));
  chain.rule("{} ip daddr {} ip frag-off & 0x1fff != 0 queue to {}", match, word.externals,
             config.first_queue);
  queue_errors(config, word, match, chain);
}

// Keeps the queue's rules off the answers to the gateway's own pings. Those of iptables are told by
// a fwmark, which they take away again.
void leave_own_pings(const Config& config, Format format, const Words& word, Chain& chain) {
  std::string then = "accept";
  if (format == Format::iptables) {
    const auto spare = spare_fwmark(config);
    if (!spare) return;
    then = set_fwmark(config, *spare);
  }
  chain.comment("The gateway's own pings.");
  chain.rule(
      "iifname {} ip frag-off & 0x1fff == 0 icmp type echo-reply ip saddr . icmp id @own_pings {}",
      word.external_interface, then);
  chain.rule("iifname {} {} @th,136,8 1 @th,224,8 8 {} @own_ping_ids {}", word.external_interface,
             icmp_error, quoted_id, then);
}

std::string incoming_chain(const Config& config, Format format, const Words& word) {
  Chain chain("incoming");
  leave_own_pings(config, format, word, chain);
  if (format == Format::nft) {
    const std::string match = fmt::format("iifname {}", word.external_interface);
    chain.comment("From outside: what the NAT may have a session for.");
    chain.rule("{} ip daddr {} {} th dport {} notrack {}", match, word.externals, port_protocols,
               word.ports, queue_by(config, "th dport"));
    chain.rule(
        "{} ip daddr {} ip frag-off & 0x1fff == 0 icmp type echo-reply icmp id {} notrack {}",
        match, word.externals, word.ports, queue_by(config, "icmp id"));
    queue_errors(config, word, match, chain);
    queue_hairpins(config, word, chain);
  }
  chain.comment(
      "Matches nothing. That it exists makes the kernel put fragments from outside together.");
  chain.rule("meta mark 0xffffffff meta nfproto ipv4 meta l4proto udp tproxy ip to :1");
  return chain.end();
}

std::string apart_chain(const Config& config, const Words& word) {
  Chain chain("apart");
  if (word.interfaces.empty()) return chain.end();
  chain.rule("oifname {} iifname {} {} == 0 counter drop", word.interfaces, word.all_sides,
             word.fwmark);
  for (const Tenant& tenant : tenants(config)) {
    chain.rule("oifname {} {} != {{ 0, {:#x} }} counter drop comment \"{}\"",
               quoted_set(tenant.interfaces), word.fwmark, tenant.fwmark, tenant.name);
  }
  return chain.end();
}

std::string outgoing_chain(const Config& config, Format format, const Words& word) {
  Chain chain("outgoing");
  if (format != Format::nft) return chain.end();
  const std::string match = fmt::format("oifname {} {} != 0", word.external_interface, word.fwmark);
  chain.rule("{} {} {}", match, port_protocols, queue_by(config, "th sport"));
  chain.rule("{} ip frag-off & 0x1fff == 0 icmp type echo-request {}", match,
             queue_by(config, "icmp id"));
  chain.comment("The rest has no port to go by. The engine knows what to do with it.");
  chain.rule("{} meta nfproto ipv4 queue to {}", match, config.first_queue);
  return chain.end();
}

std::string guard_chain(const Words& word) {
  Chain chain("guard");
  const std::string out = fmt::format("oifname {}", word.external_interface);
  chain.comment(
      "Nothing leaves with a source that is not an external address; IPv6 does not at all.");
  chain.rule("{} {} != 0 ip saddr != {} counter drop", out, word.fwmark, word.externals);
  chain.rule("{} {} != 0 meta nfproto ipv6 counter drop", out, word.fwmark);
  if (word.interfaces.empty()) return chain.end();
  chain.comment("From a tenant without its fwmark: something took it away.");
  chain.rule("{} iifname {} {} == 0 counter drop", out, word.interfaces, word.fwmark);
  return chain.end();
}

}  // namespace

std::string nft_text(const Config& config, Format format) {
  const Words word = words(config);
  return fmt::format("{}table inet swnat {{\n{}{}{}{}{}{}}}\n", base, own_chain(word),
                     early_chain(config, format, word), incoming_chain(config, format, word),
                     apart_chain(config, word), outgoing_chain(config, format, word),
                     guard_chain(word));
}

}  // namespace swnat::rules
