#include "rules/nft_queues.h"

#include <algorithm>

#include "rules/endpoint_rules.h"
#include "rules/nft_gates.h"
#include "rules/spare_fwmark.h"

namespace swnat::rules {
namespace {

constexpr std::string_view port_protocols = "meta l4proto { tcp, udp }";

// Elements of a set of protocol, address and port.
std::string endpoint_set(const std::vector<ProtocolEndpoint>& endpoints) {
  std::vector<std::string> elements;
  for (const ProtocolEndpoint& each : endpoints) {
    elements.push_back(fmt::format("{} . {} . {}", each.protocol == 6 ? "tcp" : "udp",
                                   to_text(each.endpoint.address), each.endpoint.port));
  }
  return nft_set(elements);
}

std::string address_set(const std::vector<ProtocolEndpoint>& endpoints) {
  std::vector<std::string> elements;
  for (const ProtocolEndpoint& each : endpoints) {
    const std::string text = to_text(each.endpoint.address);
    if (std::find(elements.begin(), elements.end(), text) == elements.end()) {
      elements.push_back(text);
    }
  }
  return nft_set(elements);
}

// An address as nft reads it where it knows only that there are so many bits.
std::string number_text(const IpAddress& address) {
  return std::visit(
      [](const auto& one) {
        std::array<std::uint8_t, sizeof(one)> octets;
        std::memcpy(octets.data(), &one, octets.size());
        std::string text = "0x";
        for (const std::uint8_t octet : octets) text += fmt::format("{:02x}", octet);
        return text;
      },
      address);
}

std::string quoted_endpoint_set(const std::vector<ProtocolEndpoint>& endpoints) {
  std::vector<std::string> elements;
  for (const ProtocolEndpoint& each : endpoints) {
    elements.push_back(fmt::format("{} . {} . {}", each.protocol,
                                   number_text(each.endpoint.address), each.endpoint.port));
  }
  return nft_set(elements);
}

std::string from_namespaces(const Config& config, const NftWords& word,
                            const NamespaceRange& range) {
  if (range.first <= 1 && range.last >= config.fwmark_mask) return word.fwmark + " != 0";
  if (range.first == range.last) return fmt::format("{} == {:#x}", word.fwmark, range.first);
  return fmt::format("{} {:#x}-{:#x}", word.fwmark, range.first, range.last);
}

// From a tenant, to be taken before it is routed. What neighbours on a link send stays there.
std::string from_tenants(const NftWords& word, const NftFamily& family, std::string_view fwmark) {
  return fmt::format("{} iifname != {}{}", fwmark, word.external_interface,
                     family.family == Family::ipv6 ? " ip6 saddr != fe80::/10" : "");
}

// ICMP errors about packets that the NAT sent. Others the NAT cannot own; the gateway may look at
// them.
void queue_errors(const Config& config, const NftWords& word, const NftFamily& family,
                  std::string_view match, NftChain& chain) {
  chain.rule("{} {} {} {{ 6, 17 }} {} {} notrack {}", match, family.error, family.quoted_protocol,
             family.quoted_port, word.ports, nft_queue_by(config, family.quoted_port));
  chain.rule("{} {} {} {} {} notrack {}", match, family.error, family.quoted_request,
             family.quoted_id, word.ports, nft_queue_by(config, family.quoted_id));
  const auto forwarded = forwarded_endpoints(config, family.family);
  if (forwarded.empty()) return;
  chain.rule("{} {} {} . {} . {} {} notrack {}", match, family.error, family.quoted_protocol,
             family.quoted_source, family.quoted_port, quoted_endpoint_set(forwarded),
             nft_queue_by(config, family.quoted_port));
}

void queue_fragments(const Config& config, const NftFamily& family, std::string_view match,
                     NftChain& chain) {
  chain.rule("{} {} {}", match, family.fragment, nft_queue_by(config, family.fragment_id));
}

void queue_from_outside(const Config& config, const NftWords& word, const NftFamily& family,
                        NftChain& chain) {
  const std::string match = fmt::format("iifname {} {} daddr {}", word.external_interface,
                                        family.ip, nft_externals(config, family.family));
  chain.rule("{} {} {} th dport {} notrack {}", match, port_protocols, family.whole, word.ports,
             nft_queue_by(config, "th dport"));
  const auto forwarded = forwarded_endpoints(config, family.family);
  if (!forwarded.empty()) {
    chain.rule("iifname {} meta l4proto . {} daddr . th dport {} {} notrack {}",
               word.external_interface, family.ip, endpoint_set(forwarded), family.whole,
               nft_queue_by(config, "th dport"));
  }
  chain.rule("{0} {1} {2} type echo-reply {2} id {3} notrack {4}", match, family.whole, family.icmp,
             word.ports, nft_queue_by(config, fmt::format("{} id", family.icmp)));
  queue_errors(config, word, family, match, chain);
  chain.comment("Protocols without ports, which a tenant spoke there before, and the gateway not.");
  chain.rule("iifname {} {} saddr . meta l4proto @own_protocols{} accept", word.external_interface,
             family.ip, family.set_suffix);
  chain.rule("{} {} saddr . meta l4proto @tenant_protocols{} notrack {}", match, family.ip,
             family.set_suffix, nft_first_queue(config));
}

// To where tenants are redirected from, and what answers, from a tenant or by whichever interface.
// Fragments do not all have a port, and errors are rare: the engine knows what to do with them.
void queue_redirects(const Config& config, const NftWords& word, const NftFamily& family,
                     NftChain& chain) {
  const auto redirected = redirected_endpoints(config, family.family);
  if (redirected.empty()) return;
  chain.comment("What is redirected, and answers to it that do not come from outside.");
  for (const RedirectedEndpoints& each : redirected) {
    const std::string match =
        from_tenants(word, family, from_namespaces(config, word, each.namespaces));
    const std::string addresses = address_set(each.from);
    queue_fragments(config, family,
                    fmt::format("{} {} daddr {} {}", match, family.ip, addresses, port_protocols),
                    chain);
    chain.rule("{} meta l4proto . {} daddr . th dport {} {}", match, family.ip,
               endpoint_set(each.from), nft_queue_by(config, "th sport"));
    chain.rule("{} {} daddr {} {} {}", match, family.ip, addresses, family.error,
               nft_first_queue(config));
  }
  const std::string match = fmt::format("iifname != {} {} daddr {}", word.external_interface,
                                        family.ip, nft_externals(config, family.family));
  chain.rule("{} {} meta l4proto . {} saddr . th sport {} th dport {} notrack {}", match,
             family.whole, family.ip, endpoint_set(redirect_targets(config, family.family)),
             word.ports, nft_queue_by(config, "th dport"));
  chain.rule("{} {} {} {{ 6, 17 }} {} {} notrack {}", match, family.error, family.quoted_protocol,
             family.quoted_port, word.ports, nft_queue_by(config, family.quoted_port));
}

void queue_hairpins(const Config& config, const NftWords& word, const NftFamily& family,
                    NftChain& chain) {
  const std::string any = from_tenants(word, family, word.fwmark + " != 0");
  const std::string match =
      fmt::format("{} {} daddr {}", any, family.ip, nft_externals(config, family.family));
  chain.comment(config.hairpin ? "From a tenant to an external address, hence to a tenant."
                               : "From a tenant to a port that the NAT owns: hairpinning is off.");
  const std::string verdict = config.hairpin ? nft_queue_by(config, "th dport") : "counter drop";
  // All of a packet's fragments go to one queue, and not all of them have a port.
  if (takes_local_fragments(config, family.family)) queue_fragments(config, family, match, chain);
  chain.rule("{} {} {} th dport {} {}", match, port_protocols, family.whole, word.ports, verdict);
  const auto forwarded = forwarded_endpoints(config, family.family);
  if (!forwarded.empty()) {
    chain.rule("{} meta l4proto . {} daddr . th dport {} {} {}", any, family.ip,
               endpoint_set(forwarded), family.whole, verdict);
  }
  if (config.hairpin) queue_errors(config, word, family, match, chain);
}

// Keeps the queue's rules off the answers to the gateway's own pings. Those of iptables are told by
// a fwmark, which they take away again.
void leave_own_pings(const NftWords& word, const NftFamily& family, std::string_view then,
                     NftChain& chain) {
  chain.rule("iifname {0} {1} {2} type echo-reply {3} saddr . {2} id @own_pings{4} {5}",
             word.external_interface, family.whole, family.icmp, family.ip, family.set_suffix,
             then);
  chain.rule("iifname {} {} {} {} @own_ping_ids{} {}", word.external_interface, family.error,
             family.quoted_request, family.quoted_id, family.set_suffix, then);
}

// The same for protocols without ports, where the iptables rules cannot look at the sets.
void leave_own_protocols(const Config& config, const NftWords& word, const NftFamily& family,
                         std::string_view then, NftChain& chain) {
  const std::string match =
      fmt::format("iifname {} {} daddr {} {}", word.external_interface, family.ip,
                  nft_externals(config, family.family), nft_other_protocols);
  chain.rule("{} {} saddr . meta l4proto != @tenant_protocols{} {}", match, family.ip,
             family.set_suffix, then);
  chain.rule("{} {} saddr . meta l4proto @own_protocols{} {}", match, family.ip, family.set_suffix,
             then);
}

}  // namespace

std::string nft_own_chain(const Config& config, const NftWords& word) {
  NftChain chain("own");
  for (const NftFamily& family : nft_translated_families(config)) {
    const std::string match =
        fmt::format("oifname {} {} == 0 {} saddr {}", word.external_interface, word.fwmark,
                    family.ip, nft_externals(config, family.family));
    chain.rule(
        "{0} {1} type echo-request {1} id {2} update @own_pings{3} {{ {4} daddr . {1} id }}"
        " update @own_ping_ids{3} {{ {1} id }}",
        match, family.icmp, word.ports, family.set_suffix, family.ip);
    chain.rule("{} {} update @own_protocols{} {{ {} daddr . meta l4proto }}", match,
               nft_other_protocols, family.set_suffix, family.ip);
  }
  return chain.end();
}

std::string nft_incoming_chain(const Config& config, Format format, const NftWords& word) {
  NftChain chain("incoming");
  const std::vector<NftFamily> families = nft_translated_families(config);
  const auto spare = spare_fwmark(config);
  if (format == Format::nft || spare) {
    const std::string then = format == Format::nft ? "accept" : nft_set_fwmark(config, *spare);
    chain.comment("The gateway's own pings.");
    for (const NftFamily& family : families) leave_own_pings(word, family, then, chain);
    if (format == Format::iptables) {
      chain.comment("Protocols without ports, but those that a tenant spoke there before.");
      for (const NftFamily& family : families) {
        leave_own_protocols(config, word, family, then, chain);
      }
    }
  }
  if (format == Format::nft) {
    chain.comment("From outside: what the NAT may have a session for.");
    for (const NftFamily& family : families) queue_from_outside(config, word, family, chain);
    for (const NftFamily& family : families) queue_redirects(config, word, family, chain);
    for (const NftFamily& family : families) queue_hairpins(config, word, family, chain);
  }
  chain.comment(
      "Matches nothing. That it exists makes the kernel put fragments from outside together.");
  for (const NftFamily& family : families) {
    chain.rule("meta mark 0xffffffff {} meta l4proto udp tproxy {} to :1", family.nfproto,
               family.ip);
  }
  return chain.end();
}

std::string nft_outgoing_chain(const Config& config, Format format, const NftWords& word) {
  NftChain chain("outgoing");
  if (format != Format::nft) return chain.end();
  nft_leave_own_reports(word, chain);
  for (const NftFamily& family : nft_translated_families(config)) {
    const std::string match =
        fmt::format("oifname {} {} != 0 {}", word.external_interface, word.fwmark, family.nfproto);
    const std::string untranslated = nft_untranslated(config, family);
    if (!untranslated.empty()) chain.rule("{} {} accept", match, untranslated);
    chain.rule("{} {} {} {}", match, port_protocols, family.whole,
               nft_queue_by(config, "th sport"));
    chain.rule("{0} {1} {2} type echo-request {3}", match, family.whole, family.icmp,
               nft_queue_by(config, fmt::format("{} id", family.icmp)));
    chain.comment("All of a packet's fragments go to one queue, and not all of them have a port.");
    queue_fragments(config, family, match, chain);
    chain.comment("The rest has no port to go by. The engine knows what to do with it.");
    chain.rule("{} {}", match, nft_first_queue(config));
  }
  return chain.end();
}

}  // namespace swnat::rules
