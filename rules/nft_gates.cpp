#include "rules/nft_gates.h"

#include "rules/endpoint_rules.h"
#include "rules/tenant.h"

namespace swnat::rules {
namespace {

// An element of a set, and the fwmark of what matches it.
struct Marked {
  std::string element;
  std::uint32_t fwmark;
};

// Gives each packet the fwmark of the element that it matches. By one rule for each bit: so the
// number of rules that a packet meets does not grow with the namespaces, and other bits are kept,
// which a map from element to fwmark would not do.
void set_fwmarks(const Config& config, std::string_view key, const std::vector<Marked>& all,
                 std::string_view also, NftChain& chain) {
  std::vector<std::string> elements;
  for (const Marked& each : all) elements.push_back(each.element);
  const std::string cleared =
      ~config.fwmark_mask == 0 ? "0x0" : fmt::format("meta mark & {:#x}", ~config.fwmark_mask);
  chain.rule("{} {} {}meta mark set {}", key, nft_set(elements), also, cleared);
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1) {
    elements.clear();
    for (const Marked& each : all) {
      if ((each.fwmark & bit) != 0) elements.push_back(each.element);
    }
    if (elements.empty()) continue;
    chain.rule("{} {} meta mark set meta mark | {:#x}", key, nft_set(elements), bit);
  }
}

void mark_untranslated(const Config& config, const NftWords& word, const NftFamily& family,
                       NftChain& chain) {
  std::vector<Marked> all;
  for (const Tenant& tenant : tenants(config)) {
    for (const std::string& from : texts(tenant.untranslated, family.family)) {
      for (const std::string& to : texts(tenant.sources, family.family)) {
        all.push_back({fmt::format("{} . {}", from, to), tenant.fwmark});
      }
    }
  }
  if (all.empty()) return;
  chain.comment("From where a tenant is reached without NAT.");
  set_fwmarks(config,
              fmt::format("iifname {0} {1} saddr . {1} daddr", word.external_interface, family.ip),
              all, "notrack ", chain);
}

void mark_tenants(const Config& config, NftChain& chain) {
  std::vector<Marked> all;
  for (const Tenant& tenant : tenants(config)) {
    for (const std::string& name : quoted(tenant.interfaces)) all.push_back({name, tenant.fwmark});
  }
  set_fwmarks(config, "iifname", all, "", chain);
}

// Those that are reassembled by interface do not meet others: in IPv6, to what lies on the link.
void drop_local_fragments(const Config& config, const NftWords& word, const NftFamily& family,
                          NftChain& chain) {
  const bool is_ipv6 = family.family == Family::ipv6;
  std::vector<std::string> others;
  if (is_ipv6) others.push_back("fe80::/10");
  if (takes_local_fragments(config, family.family)) {
    for (std::string& each : texts(config.external_addresses, family.family)) {
      others.push_back(std::move(each));
    }
  }
  const std::string except =
      others.empty() ? "" : fmt::format("{} daddr != {} ", family.ip, nft_set(others));
  chain.rule("iifname {} {} {} {}fib daddr type {} counter drop", word.interfaces, family.nfproto,
             family.fragment, except,
             is_ipv6 ? "{ local, anycast }" : "{ local, broadcast, multicast }");
}

void check_sources(const Config& config, const NftWords& word, const NftFamily& family,
                   NftChain& chain) {
  if (family.family == Family::ipv4) {
    chain.rule(
        "iifname {} ip saddr 0.0.0.0 ip frag-off & 0x1fff == 0 udp sport 68 udp dport 67"
        " accept",
        word.interfaces);
  } else {
    // The kernel forwards neither.
    chain.rule("iifname {} ip6 saddr fe80::/10 accept", word.interfaces);
    chain.rule("iifname {} ip6 saddr :: meta l4proto icmpv6 accept", word.interfaces);
  }
  std::vector<std::string> sources;
  for (const Tenant& tenant : tenants(config)) {
    for (const std::string& interface : quoted(tenant.interfaces)) {
      for (const std::string& network : texts(tenant.sources, family.family)) {
        sources.push_back(fmt::format("{} . {}", interface, network));
      }
    }
  }
  if (sources.empty()) {
    chain.rule("iifname {} {} counter drop", word.interfaces, family.nfproto);
  } else {
    chain.rule("iifname {} iifname . {} saddr != {} counter drop", word.interfaces, family.ip,
               nft_set(sources));
  }
}

// What has a namespace's fwmark reaches no other tenant's interface.
void keep_to_own_tenant(const Config& config, const NftWords& word, NftChain& chain) {
  std::vector<std::string> own;
  for (const Tenant& tenant : tenants(config)) {
    for (const std::string& interface : quoted(tenant.interfaces)) {
      own.push_back(fmt::format("{} . {:#x}", interface, tenant.fwmark));
    }
  }
  chain.rule("oifname {} {} != 0 oifname . {} != {} counter drop", word.interfaces, word.fwmark,
             word.fwmark, nft_set(own));
}

}  // namespace

void nft_leave_own_reports(const NftWords& word, NftChain& chain) {
  chain.comment("The gateway's own reports of multicast groups, whose fwmark means nothing.");
  for (const Family each : all_families) {
    chain.rule("oifname {} {} accept", word.external_interface, nft_family(each).own_report);
  }
}

std::string nft_untranslated(const Config& config, const NftFamily& family) {
  std::vector<std::string> all;
  for (const Tenant& tenant : tenants(config)) {
    for (const std::string& interface : quoted(tenant.interfaces)) {
      for (const std::string& from : texts(tenant.sources, family.family)) {
        for (const std::string& to : texts(tenant.untranslated, family.family)) {
          all.push_back(fmt::format("{} . {} . {}", interface, from, to));
        }
      }
    }
  }
  if (all.empty()) return "";
  return fmt::format("iifname . {0} saddr . {0} daddr {1}", family.ip, nft_set(all));
}

std::string nft_early_chain(const Config& config, const NftWords& word) {
  NftChain chain("early");
  if (word.interfaces.empty()) return chain.end();
  std::vector<NftFamily> used;
  for (const Family each : all_families) {
    if (is_used(config, each)) used.push_back(nft_family(each));
  }
  for (const NftFamily& family : used) mark_untranslated(config, word, family, chain);
  chain.rule("iifname {} accept", word.external_interface);
  chain.comment("Untracked: the kernel does not put tenants' fragments together.");
  chain.rule("iifname {} notrack", word.interfaces);
  chain.comment("Each namespace's fwmark, bit by bit.");
  mark_tenants(config, chain);
  chain.comment("To the gateway itself a fragment would meet other tenants' after all.");
  for (const NftFamily& family : used) drop_local_fragments(config, word, family, chain);
  chain.comment(
      "No tenant may send from what is not its own, but hosts without an address ask"
      " for one, and neighbours on a link find each other.");
  for (const NftFamily& family : used) check_sources(config, word, family, chain);
  return chain.end();
}

std::string nft_apart_chain(const Config& config, const NftWords& word) {
  NftChain chain("apart");
  for (const NftFamily& family : nft_translated_families(config)) {
    chain.rule(
        "oifname {} {} != 0 {} update @tenant_protocols{} {{ {} daddr . meta l4proto timeout {} }}",
        word.external_interface, word.fwmark, nft_other_protocols, family.set_suffix, family.ip,
        word.udp_timeout);
  }
  if (word.interfaces.empty()) return chain.end();
  chain.rule("oifname {} iifname {} {} == 0 counter drop", word.interfaces, word.all_sides,
             word.fwmark);
  keep_to_own_tenant(config, word, chain);
  return chain.end();
}

std::string nft_guard_chain(const Config& config, const NftWords& word) {
  NftChain chain("guard");
  nft_leave_own_reports(word, chain);
  const std::string out = fmt::format("oifname {}", word.external_interface);
  for (const Family each : all_families) {
    const NftFamily& family = nft_family(each);
    const std::string untranslated = nft_untranslated(config, family);
    if (untranslated.empty()) continue;
    chain.comment("To where tenants get without NAT.");
    chain.rule("{} {} != 0 {} accept", out, word.fwmark, untranslated);
  }
  chain.comment(
      "Nothing leaves with a source that is not an external address. Without a fwmark"
      " from a tenant: it was redirected, or something took the fwmark away.");
  for (const Family each : all_families) {
    const NftFamily& family = nft_family(each);
    const std::string foreign =
        is_translated(config, each)
            ? fmt::format("{} saddr != {}", family.ip, nft_externals(config, each))
            : std::string(family.nfproto);
    chain.rule("{} {} != 0 {} counter drop", out, word.fwmark, foreign);
    if (word.interfaces.empty()) continue;
    chain.rule("{} iifname {} {} == 0 {} counter drop", out, word.interfaces, word.fwmark, foreign);
  }
  if (!word.interfaces.empty()) {
    chain.comment("The gateway's own ICMP errors to a namespace without a route of its own.");
    keep_to_own_tenant(config, word, chain);
  }
  return chain.end();
}

}  // namespace swnat::rules
