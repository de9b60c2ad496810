#include "rules/nft/queues.h"

#include <algorithm>

#include "rules/nft/entry.h"
#include "rules/wanted/endpoint_rules.h"
#include "rules/wanted/spare_fwmark.h"

namespace swnat::rules {
namespace {

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

std::string from_namespaces(const Config& config, const NftWords& word,
                            const NamespaceRange& range) {
  if (range.first <= 1 && range.last >= config.fwmark_mask) return word.fwmark + " != 0";
  return nft_from(word, range.first, range.last);
}

void queue_fragments(const Config& config, const NftFamily& family, std::string_view match,
                     NftChain& chain) {
  chain.rule("{} {} {}", match, family.fragment, nft_queue_by(config, family.fragment_id));
}

// TCP and UDP to the NAT's ports and to those that are forwarded, whoever sends them, and errors:
// the engine knows which of them are about its packets.
void queue_to_externals(const Config& config, const NftWords& word, const NftFamily& family,
                        std::string_view before_queue, NftChain& chain) {
  const std::string to =
      fmt::format("{} daddr {}", family.ip, nft_externals(config, family.family));
  chain.rule("{} {} {} th dport {} {}{}", to, nft_port_protocols, family.whole, word.ports,
             before_queue, nft_queue_by(config, "th dport"));
  const auto forwarded = forwarded_endpoints(config, family.family);
  if (!forwarded.empty()) {
    chain.rule("meta l4proto . {} daddr . th dport {} {} {}{}", family.ip,
               nft_endpoint_set(forwarded), family.whole, before_queue,
               nft_queue_by(config, "th dport"));
  }
  chain.rule("{} {} {}{}", to, family.error, before_queue, nft_first_queue(config));
}

// What a tenant's forwarded service answers to the gateway itself, whose ports are not the NAT's.
void queue_forwards_answers(const Config& config, const NftWords& word, const NftFamily& family,
                            NftChain& chain) {
  const auto targets = forward_targets(config, family.family);
  if (targets.empty()) return;
  chain.rule("{} != 0 {} daddr {} {} meta l4proto . {} saddr . th sport {} {}", word.fwmark,
             family.ip, nft_externals(config, family.family), family.whole, family.ip,
             nft_endpoint_set(targets), nft_queue_by(config, "th sport"));
}

void queue_from_outside(const Config& config, const NftWords& word, const NftFamily& family,
                        NftChain& chain) {
  const std::string to = fmt::format("{} == 0 {} daddr {}", word.fwmark, family.ip,
                                     nft_externals(config, family.family));
  chain.rule("{0} {1} {2} type echo-reply {2} id {3} {4}", to, family.whole, family.icmp,
             word.ports, nft_queue_by(config, fmt::format("{} id", family.icmp)));
  chain.comment("Protocols without ports, which a tenant spoke there before.");
  chain.rule("{} {} saddr . meta l4proto @tenant_protocols{} {}", to, family.ip, family.set_suffix,
             nft_first_queue(config));
}

// To where tenants are redirected from. Fragments do not all have a port, and errors are rare: the
// engine knows what to do with them.
void queue_redirects(const Config& config, const NftWords& word, const NftFamily& family,
                     NftChain& chain) {
  for (const RedirectedEndpoints& each : redirected_endpoints(config, family.family)) {
    const std::string from = from_namespaces(config, word, each.namespaces);
    const std::string addresses = address_set(each.from);
    queue_fragments(
        config, family,
        fmt::format("{} {} daddr {} {}", from, family.ip, addresses, nft_port_protocols), chain);
    chain.rule("{} meta l4proto . {} daddr . th dport {} {}", from, family.ip,
               nft_endpoint_set(each.from), nft_queue_by(config, "th sport"));
    chain.rule("{} {} daddr {} {} {}", from, family.ip, addresses, family.error,
               nft_first_queue(config));
  }
}

// Answers to what was redirected, and errors about it, from a network of the gateway's own.
std::string elsewhere_chain(const Config& config, const NftWords& word) {
  NftChain chain("from_elsewhere");
  for (const NftFamily& family : nft_translated_families(config)) {
    const auto targets = redirect_targets(config, family.family);
    if (targets.empty()) continue;
    const std::string to =
        fmt::format("{} daddr {}", family.ip, nft_externals(config, family.family));
    chain.rule("{} {} meta l4proto . {} saddr . th sport {} th dport {} {}", to, family.whole,
               family.ip, nft_endpoint_set(targets), word.ports, nft_queue_by(config, "th dport"));
    chain.rule("{} {} {}", to, family.error, nft_first_queue(config));
  }
  return chain.end();
}

// Of what leaves by the external interface with a namespace's fwmark, what is not the NAT's.
// `leave` is what becomes of it.
void leave_alone(const NftWords& word, std::string_view leave, NftSets& sets, NftChain& chain) {
  nft_own_reports(leave, chain);
  if (word.namespaces.empty()) return;
  for (const Family each : all_families) {
    const NftFamily& family = nft_family(each);
    for (const std::string& match : nft_untranslated(word, family, sets)) {
      chain.rule("{} {}", match, leave);
    }
  }
  chain.comment("Tunnels of the gateway's own, whose packets keep the fwmark of what they carry.");
  chain.rule("{} {} meta l4proto != {{ icmp, icmpv6 }} fib saddr type local {}", word.fwmark,
             word.namespaces, leave);
}

}  // namespace

void nft_own_reports(std::string_view then, NftChain& chain) {
  chain.comment("The gateway's own reports of multicast groups, whose fwmark means nothing.");
  for (const Family each : all_families) chain.rule("{} {}", nft_family(each).own_report, then);
}

std::string nft_endpoint_set(const std::vector<ProtocolEndpoint>& endpoints) {
  std::vector<std::string> elements;
  for (const ProtocolEndpoint& each : endpoints) {
    elements.push_back(fmt::format("{} . {} . {}", each.protocol == 6 ? "tcp" : "udp",
                                   to_text(each.endpoint.address), each.endpoint.port));
  }
  return nft_set(elements);
}

std::string nft_telling_chain(const Config& config, Format format, const NftWords& word) {
  NftChain chain("telling");
  if (format == Format::nft) return chain.end();
  chain.comment("For the rules of iptables: protocols without ports that a tenant spoke there.");
  for (const NftFamily& family : nft_translated_families(config)) {
    chain.rule("iifname {} {} == 0 {} daddr {} {} saddr . meta l4proto @tenant_protocols{} {}",
               word.external_interface, word.fwmark, family.ip,
               nft_externals(config, family.family), family.ip, family.set_suffix,
               nft_set_fwmark(config, required_spare_fwmark(config)));
  }
  return chain.end();
}

std::string nft_incoming_chain(const Config& config, Format format, const NftWords& word) {
  NftChain chain("incoming");
  chain.comment("What the gateway sends to itself was taken when it left.");
  chain.rule("iifname \"lo\" accept");
  if (!word.namespaces.empty()) {
    chain.comment("Somebody else's fwmarks.");
    chain.rule("{} != 0 {} != {} accept", word.fwmark, word.fwmark, word.namespaces);
    nft_check_unplaced_sources(config, word, chain);
  }
  if (format != Format::nft) return chain.end();
  const bool redirects = !config.policy.redirects.empty();
  chain.rule("{} == 0 iifname != {} {}", word.fwmark, word.external_interface,
             redirects ? "goto from_elsewhere" : "accept");
  chain.comment("What neighbours on a link send stays there.");
  chain.rule("ip6 saddr fe80::/10 accept");
  for (const NftFamily& family : nft_translated_families(config)) {
    if (takes_local_fragments(config, family.family)) {
      chain.comment("All of a tenant's fragments go to one queue, and not all have a port.");
      queue_fragments(config, family,
                      fmt::format("{} != 0 {} daddr {}", word.fwmark, family.ip,
                                  nft_externals(config, family.family)),
                      chain);
    }
    queue_to_externals(config, word, family, "", chain);
    queue_forwards_answers(config, word, family, chain);
    queue_from_outside(config, word, family, chain);
    queue_redirects(config, word, family, chain);
  }
  return (redirects ? elsewhere_chain(config, word) : "") + chain.end();
}

std::string nft_departing_chain(const Config& config, Format format, const NftWords& word) {
  NftChain chain("departing");
  if (format != Format::nft) return chain.end();
  chain.comment("Not tracked: the kernel would know neither of their ends.");
  for (const NftFamily& family : nft_translated_families(config)) {
    queue_to_externals(config, word, family, "notrack ", chain);
  }
  return chain.end();
}

std::string nft_leaving_chain(const Config& config, Format format, const NftWords& word,
                              NftSets& sets) {
  NftChain chain("leaving");
  if (format == Format::nft) return chain.end();
  chain.rule("oifname != {} accept", word.external_interface);
  leave_alone(word, nft_set_fwmark(config, required_spare_fwmark(config)), sets, chain);
  return chain.end();
}

std::string nft_outgoing_chain(const Config& config, Format format, const NftWords& word,
                               NftSets& sets) {
  NftChain chain("outgoing");
  if (format != Format::nft || word.namespaces.empty()) return chain.end();
  chain.rule("oifname != {} accept", word.external_interface);
  leave_alone(word, "accept", sets, chain);
  chain.rule("{} != {} accept", word.fwmark, word.namespaces);
  for (const NftFamily& family : nft_translated_families(config)) {
    chain.rule("{} {} {} {}", family.nfproto, nft_port_protocols, family.whole,
               nft_queue_by(config, "th sport"));
    chain.rule("{0} {1} type echo-request {2}", family.whole, family.icmp,
               nft_queue_by(config, fmt::format("{} id", family.icmp)));
    chain.comment("All of a packet's fragments go to one queue, and not all of them have a port.");
    queue_fragments(config, family, family.nfproto, chain);
    chain.comment("The rest has no port to go by. The engine knows what to do with it.");
    chain.rule("{} {}", family.nfproto, nft_first_queue(config));
  }
  return chain.end();
}

}  // namespace swnat::rules
