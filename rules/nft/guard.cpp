#include "rules/nft/guard.h"

#include "rules/nft/entry.h"
#include "rules/nft/queues.h"
#include "rules/nft/zones.h"
#include "rules/wanted/endpoint_rules.h"
#include "rules/wanted/spare_fwmark.h"

namespace swnat::rules {
namespace {

// What has a namespace's fwmark reaches no other tenant's interface.
void keep_to_own_tenant(const NftWords& word, NftChain& chain) {
  if (!word.interfaces.empty()) {
    chain.rule("oifname {} {} != 0 oifname . {} != {} counter name other_tenant drop",
               word.interfaces, word.fwmark, word.fwmark, word.interface_owners);
  }
  if (word.members.empty()) return;
  chain.rule("oif {} {} != 0 oif . {} != {} counter name other_tenant drop", word.members,
             word.fwmark, word.fwmark, word.member_owners);
  for (const std::string& pattern : nft_member_patterns(word)) {
    chain.rule("oifname {} {} != 0 oif != {} counter name waiting_member drop", pattern,
               word.fwmark, word.members);
  }
}

// From a tenant's network. It goes on within its namespace, or to where its namespace gets without
// NAT, and nowhere else. Some of what the gateway sends itself seems to have been forwarded too:
// the kernel notes the interface that it leaves by, for neighbour advertisements.
std::string private_source_chain(const Config& config, const NftWords& word, NftSets& sets) {
  NftChain chain("private_source");
  chain.rule("{} == 0 fib saddr type local accept", word.fwmark);
  if (!word.interfaces.empty()) {
    chain.rule("oifname . {} {} accept", word.fwmark, word.interface_owners);
  }
  if (!word.members.empty()) {
    chain.rule("oif . {} {} accept", word.fwmark, word.member_owners);
  }
  for (const NamespacePiece& piece : namespace_pieces(config)) {
    const NamespaceConfig& each = *piece.config;
    if (!each.is_unplaced()) continue;
    for (const Family family : all_families) {
      const std::vector<std::string> subnets = texts(each.subnets, family);
      if (subnets.empty()) continue;
      chain.rule("{} {} daddr {} accept", nft_from(word, piece.first, piece.last),
                 nft_family(family).ip, nft_set(subnets));
    }
  }
  for (const Family family : all_families) {
    for (const std::string& match : nft_untranslated(word, nft_family(family), sets)) {
      chain.rule("{} accept", match);
    }
  }
  chain.rule("counter name untranslated_source drop");
  return chain.end();
}

}  // namespace

std::string nft_translated_chain(const Config& config, const NftWords& word) {
  NftChain chain("translated");
  if (word.namespaces.empty()) return chain.end();
  chain.rule("{} != {} accept", word.fwmark, word.namespaces);
  if (word.has_interfaces()) {
    chain.comment("Left by the NAT: for the gateway itself, if for anybody.");
    const auto keep_apart = [&](const NftFamily& family, const std::string& from,
                                const std::string& zone) {
      const std::string to =
          fmt::format("{} {} daddr {}", from, family.ip, nft_externals(config, family.family));
      chain.rule("{} {} counter name fragment_to_gateway drop", to, family.fragment);
      chain.rule("{} ct original zone set {} accept", to, zone);
    };
    for (const NftFamily& family : nft_translated_families(config)) {
      if (!word.interfaces.empty()) {
        keep_apart(family, fmt::format("iifname {}", word.interfaces),
                   fmt::format("iifname map {}", word.zones));
      }
      if (!word.members.empty()) {
        keep_apart(family, fmt::format("iif {}", word.members),
                   fmt::format("iif map {}", word.member_zones));
      }
    }
  }
  chain.rule("notrack");
  return chain.end();
}

std::string nft_arriving_chain(const Config& config, const NftWords& word) {
  NftChain chain("arriving");
  chain.rule("iifname \"lo\" accept");
  for (const NftFamily& family : nft_translated_families(config)) {
    chain.rule("{} daddr {} {} th dport {} goto of_sockets", family.ip,
               nft_externals(config, family.family), nft_port_protocols, word.ports);
    const auto forwarded = forwarded_endpoints(config, family.family);
    if (forwarded.empty()) continue;
    chain.rule("meta l4proto . {} daddr . th dport {} goto of_sockets", family.ip,
               nft_endpoint_set(forwarded));
  }
  NftChain sockets("of_sockets");
  sockets.comment("The gateway's own, and no answer to all else (RFC 5382 REQ-4).");
  sockets.rule("ct state established,related accept");
  sockets.rule("socket transparent {{ 0, 1 }} accept");
  sockets.rule("counter name unowned drop");
  return sockets.end() + chain.end();
}

std::string nft_answers_chain(const Config& config, const NftWords& word, NftFwmarks& fwmarks) {
  NftChain chain("answers");
  if (!word.has_interfaces()) return chain.end();
  chain.comment("From services of the gateway's own, to the tenant that asked.");
  chain.rule("{} != 0 accept", word.fwmark);
  chain.rule("ct direction original accept");
  fwmarks.give("", {"fwmarks_of_zones", "typeof ct zone", "ct original zone"},
               zone_fwmarks(config, word.tenants), chain);
  return chain.end();
}

std::string nft_apart_chain(const Config& config, const NftWords& word) {
  NftChain chain("apart");
  for (const NftFamily& family : nft_translated_families(config)) {
    chain.rule("{} daddr {} counter name unowned drop", family.ip,
               nft_externals(config, family.family));
  }
  if (word.namespaces.empty()) return chain.end();
  chain.rule("iifname {0} oifname {0} {1} {2} counter name turned_round drop",
             word.external_interface, word.fwmark, word.namespaces);
  for (const NftFamily& family : nft_translated_families(config)) {
    chain.rule(
        "oifname {} {} {} {} update @tenant_protocols{} {{ {} daddr . meta l4proto timeout {} }}",
        word.external_interface, word.fwmark, word.namespaces, nft_other_protocols,
        family.set_suffix, family.ip, word.udp_timeout);
  }
  if (!word.interfaces.empty()) {
    chain.rule("oifname {} {} == 0 counter name other_tenant drop", word.interfaces, word.fwmark);
  }
  for (const std::string& pattern : nft_member_patterns(word)) {
    chain.rule("oifname {} {} == 0 counter name other_tenant drop", pattern, word.fwmark);
  }
  keep_to_own_tenant(word, chain);
  return chain.end();
}

std::string nft_guard_chain(const Config& config, Format format, const NftWords& word,
                            NftSets& sets) {
  NftChain chain("guard");
  if (format == Format::iptables) {
    const std::uint32_t spare = required_spare_fwmark(config);
    chain.comment("What the NAT was told to leave alone.");
    chain.rule("oifname {} {} == {:#x} meta mark set meta mark & {:#x} accept",
               word.external_interface, word.fwmark, spare, ~config.fwmark_mask);
  }
  nft_own_reports("accept", chain);
  keep_to_own_tenant(word, chain);
  if (!word.networks.empty()) {
    chain.comment("A tenant's own address leaves its namespace for where it needs no NAT only.");
    for (const Family each : all_families) {
      const std::vector<std::string> networks = texts(word.networks, each);
      if (networks.empty()) continue;
      chain.rule("iif != 0 {} saddr {} goto private_source", nft_family(each).ip,
                 nft_set(networks));
    }
  }
  const std::string apart = word.networks.empty() ? "" : private_source_chain(config, word, sets);
  if (word.namespaces.empty()) return apart + chain.end();
  chain.comment("Nothing of a namespace leaves with a source that is not an external address.");
  for (const Family each : all_families) {
    const NftFamily& family = nft_family(each);
    const std::string foreign =
        is_translated(config, each)
            ? fmt::format("{} saddr != {}", family.ip, nft_externals(config, each))
            : std::string(family.nfproto);
    chain.rule("oifname {} {} {} {} fib saddr type != local counter name untranslated_source drop",
               word.external_interface, word.fwmark, word.namespaces, foreign);
  }
  return apart + chain.end();
}

}  // namespace swnat::rules
