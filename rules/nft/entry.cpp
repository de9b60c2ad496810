#include "rules/nft/entry.h"

#include <map>

#include "rules/nft/zones.h"
#include "rules/wanted/endpoint_rules.h"

namespace swnat::rules {
namespace {

// From where tenants are reached without NAT, by the lengths of the tenant's network and the other.
using Lengths = std::pair<unsigned, unsigned>;
struct Reached {
  std::vector<NftMarked> packets;  // tenant's network . where it comes from
  std::vector<NftMarked> errors;   // tenant's network . where what they are about was sent to
};

std::map<Lengths, Reached> reached_untranslated(const NftWords& word, Family family) {
  std::map<Lengths, Reached> all;
  for (const Tenant& tenant : word.tenants) {
    for (const IpNetwork& from : tenant.untranslated) {
      if (family_of(from) != family) continue;
      for (const IpNetwork& to : tenant.sources) {
        if (family_of(to) != family) continue;
        Reached& reached = all[{length_of(to), length_of(from)}];
        const std::string own = to_text(address_of(to));
        const std::string other = to_text(address_of(from));
        reached.packets.push_back({fmt::format("{} . {}", own, other), tenant.fwmark});
        reached.errors.push_back(
            {fmt::format("{} . {}", own, nft_number(address_of(from))), tenant.fwmark});
      }
    }
  }
  return all;
}

// Routers on the way have other addresses than where they are asked to go. What their errors quote
// is behind the ICMP header, at a fixed place.
void mark_untranslated(const Config& config, const NftWords& word, NftFwmarks& fwmarks,
                       NftChain& chain) {
  for (const bool is_error : {false, true}) {
    for (const Family each : all_families) {
      if (!is_used(config, each)) continue;
      const NftFamily& family = nft_family(each);
      for (const auto& [lengths, reached] : reached_untranslated(word, each)) {
        const std::string name =
            fmt::format("{}_{}_{}", family.set_suffix, lengths.first, lengths.second);
        const std::string own = nft_first_bits(family, "daddr", lengths.first);
        if (!is_error) {
          const std::string from = nft_first_bits(family, "saddr", lengths.second);
          fwmarks.give(
              "",
              {"from_untranslated" + name, fmt::format("typeof {0} daddr . {0} saddr", family.ip),
               fmt::format("{} . {}", own, from)},
              reached.packets, chain);
          continue;
        }
        const unsigned place = family.quoted_destination;
        const std::string sent_to = nft_first_bits_at(place, each, lengths.second);
        fwmarks.give(fmt::format("{} ", family.error),
                     {"about_untranslated" + name,
                      fmt::format("typeof {} daddr . {}", family.ip, nft_bits_at(place, each)),
                      fmt::format("{} . {}", own, sent_to)},
                     reached.errors, chain);
      }
    }
    chain.rule("{} != 0 notrack accept", word.fwmark);
  }
}

bool has_untranslated(const NftWords& word) {
  for (const Tenant& tenant : word.tenants) {
    if (!tenant.untranslated.empty()) return true;
  }
  return false;
}

// What is for the gateway itself is tracked, each tenant's by itself: fragments of different
// tenants do not meet, nor do connections from equal endpoints. All else is not tracked.
void track_by_tenant(const Config& config, const NftWords& word, NftChain& chain) {
  chain.comment("For the gateway itself: tracked, each tenant's by itself. Else not tracked.");
  for (const Family each : all_families) {
    if (!is_translated(config, each)) continue;
    const NftFamily& family = nft_family(each);
    chain.rule("{} daddr {} notrack return", family.ip, nft_externals(config, each));
  }
  for (const std::string& zone : nft_entry_zones(word)) {
    chain.rule("fib daddr type {{ local, anycast }} ct original zone set {} return", zone);
  }
  chain.rule("notrack");
}

// What is not tracked would be put together with others' by the gateway.
void drop_shared_fragments(NftChain& chain) {
  chain.rule(
      "ip frag-off & 0x3fff != 0 fib daddr type {{ broadcast, multicast }}"
      " counter name fragment_to_gateway drop");
  chain.rule("exthdr frag exists fib daddr type multicast counter name fragment_to_gateway drop");
}

void let_neighbours_talk(NftChain& chain) {
  chain.comment("Hosts without an address ask for one, and neighbours on a link find each other.");
  chain.rule("ip saddr 0.0.0.0 ip frag-off & 0x1fff == 0 udp sport 68 udp dport 67 return");
  // The kernel forwards neither.
  chain.rule("ip6 saddr fe80::/10 return");
  chain.rule("ip6 saddr :: meta l4proto icmpv6 return");
}

}  // namespace

std::string nft_early_chain(const Config& config, const NftWords& word,
                            const std::vector<RemovedTenant>& removed, NftFwmarks& fwmarks) {
  NftChain early("early");
  std::vector<std::string> gone;
  for (const RemovedTenant& each : removed) {
    for (const std::string& name : quoted(each.interfaces)) gone.push_back(name);
  }
  if (!gone.empty()) {
    early.comment("Tenants that the configuration has no more.");
    early.rule("iifname {} counter name removed_tenant drop", nft_set(gone));
  }
  if (!word.has_interfaces()) return early.end();
  if (!word.interfaces.empty()) early.rule("iifname {} goto from_tenant", word.interfaces);
  if (!word.members.empty()) {
    early.rule("iif {} goto from_tenant", word.members);
    early.comment("Who is no member yet, or finds no fwmark free.");
    for (const std::string& pattern : nft_member_patterns(word)) {
      early.rule("iifname {} counter name waiting_member drop", pattern);
    }
  }
  if (has_untranslated(word)) {
    early.comment("From where a tenant is reached without NAT, and errors about what it sent.");
    early.rule("{} != 0 accept", word.fwmark);
    mark_untranslated(config, word, fwmarks, early);
  }

  NftChain tenant("from_tenant");
  tenant.comment("Each namespace's fwmark, an octet at a time.");
  tenant.rule("meta mark set meta mark & {:#x}", ~config.fwmark_mask);
  std::vector<NftMarked> all;
  for (const Tenant& each : word.tenants) {
    for (const std::string& name : quoted(each.interfaces)) all.push_back({name, each.fwmark});
  }
  fwmarks.give("", {"fwmarks", "type ifname", "iifname"}, all, tenant);
  fwmarks.give_later({"member_fwmarks", "type iface_index", "iif"}, member_fwmarks(word.ranges),
                     tenant);
  tenant.rule("jump own_source");
  drop_shared_fragments(tenant);
  track_by_tenant(config, word, tenant);
  return tenant.end() + early.end();
}

std::string nft_own_source_chain(const NftWords& word, NftSets& sets) {
  NftChain chain("own_source");
  let_neighbours_talk(chain);
  for (const Family each : all_families) {
    const NftFamily& family = nft_family(each);
    std::map<unsigned, std::vector<std::string>> by_length;
    for (const Tenant& tenant : word.tenants) {
      for (const IpNetwork& network : tenant.sources) {
        if (family_of(network) != each) continue;
        by_length[length_of(network)].push_back(
            fmt::format("{:#x} . {}", tenant.fwmark, to_text(address_of(network))));
      }
    }
    for (auto& [length, elements] : by_length) {
      chain.rule(
          "{} . {} {} return", word.fwmark, nft_first_bits(family, "saddr", length),
          sets.set(fmt::format("sources{}_{}", family.set_suffix, length),
                   fmt::format("typeof meta mark . {} saddr", family.ip), std::move(elements)));
    }
  }
  for (const MemberRange& range : word.ranges) {
    for (const NamespaceRange& piece : range.fwmarks) {
      for (const Family each : all_families) {
        const std::vector<std::string> subnets = texts(range.subnets, each);
        if (subnets.empty()) continue;
        chain.rule("{} {} saddr {} return", nft_from(word, piece.first, piece.last),
                   nft_family(each).ip, nft_set(subnets));
      }
    }
  }
  chain.rule("counter name forged_source drop");
  return chain.end();
}

std::vector<std::string> nft_untranslated(const NftWords& word, const NftFamily& family,
                                          NftSets& sets) {
  std::map<unsigned, std::vector<std::string>> by_length;
  for (const Tenant& tenant : word.tenants) {
    for (const IpNetwork& to : tenant.untranslated) {
      if (family_of(to) != family.family) continue;
      by_length[length_of(to)].push_back(
          fmt::format("{:#x} . {}", tenant.fwmark, to_text(address_of(to))));
    }
  }
  std::vector<std::string> all;
  for (auto& [length, elements] : by_length) {
    const std::string set =
        sets.set(fmt::format("untranslated{}_{}", family.set_suffix, length),
                 fmt::format("typeof meta mark . {} daddr", family.ip), std::move(elements));
    all.push_back(
        fmt::format("{} . {} {}", word.fwmark, nft_first_bits(family, "daddr", length), set));
  }
  return all;
}

void nft_check_unplaced_sources(const Config& config, const NftWords& word, NftChain& chain) {
  for (const NamespacePiece& piece : namespace_pieces(config)) {
    const NamespaceConfig& each = *piece.config;
    if (!each.is_unplaced()) continue;
    const std::string match = nft_from(word, piece.first, piece.last);
    chain.rule("{} iifname != {} fib saddr type local counter name forged_source drop", match,
               word.external_interface);
    if (each.subnets.empty()) continue;
    for (const Family family : all_families) {
      const std::vector<std::string> subnets = texts(each.subnets, family);
      const NftFamily& name = nft_family(family);
      const std::string foreign = subnets.empty()
                                      ? std::string(name.nfproto)
                                      : fmt::format("{} saddr != {}", name.ip, nft_set(subnets));
      chain.rule("{} iifname != {} {} counter name forged_source drop", match,
                 word.external_interface, foreign);
    }
  }
}

}  // namespace swnat::rules
