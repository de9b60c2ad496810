#include "rules/nft/words.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "rules/nft/zones.h"
#include "rules/wanted/bit_tree.h"
#include "rules/wanted/steering.h"

namespace swnat::rules {
namespace {

constexpr NftFamily ipv4 = {
    .family = Family::ipv4,
    .ip = "ip",
    .icmp = "icmp",
    .nfproto = "meta nfproto ipv4",
    .set_suffix = "",
    .fragment = "ip frag-off & 0x3fff != 0",
    .whole = "ip frag-off & 0x3fff == 0",
    .fragment_id = "ip id",
    .own_report = "ip daddr 224.0.0.0/4 meta l4proto igmp",
    .error =
        "ip frag-off & 0x3fff == 0"
        " icmp type { destination-unreachable, time-exceeded, parameter-problem }",
    .quoted_destination = 192,
};

constexpr NftFamily ipv6 = {
    .family = Family::ipv6,
    .ip = "ip6",
    .icmp = "icmpv6",
    .nfproto = "meta nfproto ipv6",
    .set_suffix = "6",
    .fragment = "exthdr frag exists",
    .whole = "exthdr frag missing",
    .fragment_id = "frag id",
    .own_report = "ip6 saddr { ::, fe80::/10 } meta l4proto icmpv6",
    .error =
        "exthdr frag missing"
        " icmpv6 type { destination-unreachable, packet-too-big, time-exceeded,"
        " parameter-problem }",
    .quoted_destination = 256,
};

// An address of ones up to the length.
IpAddress mask_of(Family family, unsigned length) {
  BitString bits;
  for (unsigned bit = 0; bit < length; ++bit) {
    bits.octets[bit / 8] |= static_cast<std::uint8_t>(0x80u >> bit % 8);
  }
  bits.length = family == Family::ipv4 ? 32 : 128;
  return address_of(network_of(bits, family));
}

bool is_whole(Family family, unsigned length) {
  return length == (family == Family::ipv4 ? 32u : 128u);
}

std::string queue_to(const Config& config) {
  return config.fail_open ? "queue flags bypass to" : "queue to";
}

std::string ports_text(const PortRanges& ports) {
  std::vector<std::string> all;
  for (const PortRange& each : ports.ranges()) {
    all.push_back(fmt::format("{}-{}", each.first, each.last));
  }
  return all.size() == 1 ? all[0] : fmt::format("{{ {} }}", fmt::join(all, ", "));
}

}  // namespace

const NftFamily& nft_family(Family family) {
  return family == Family::ipv4 ? ipv4 : ipv6;
}

std::vector<NftFamily> nft_translated_families(const Config& config) {
  std::vector<NftFamily> all;
  for (const Family each : all_families) {
    if (is_translated(config, each)) all.push_back(nft_family(each));
  }
  return all;
}

std::string nft_set(const std::vector<std::string>& elements) {
  return fmt::format("{{ {} }}", fmt::join(elements, ", "));
}

std::vector<std::string> quoted(const std::vector<std::string>& names) {
  std::vector<std::string> all;
  for (const std::string& name : names) all.push_back(fmt::format("\"{}\"", name));
  return all;
}

NftWords::NftWords(const Config& config, const std::vector<RemovedTenant>& removed, NftSets& sets)
    : tenants(rules::tenants(config)),
      networks(tenant_networks(config, removed)),
      external_interface(fmt::format("\"{}\"", config.external_interface)),
      ranges(member_ranges(config)),
      fwmark(fmt::format("meta mark & {:#x}", config.fwmark_mask)),
      ports(ports_text(config.policy.ports)) {
  std::vector<std::string> owners;
  for (const Tenant& tenant : tenants) {
    for (const std::string& name : quoted(tenant.interfaces)) {
      owners.push_back(fmt::format("{} . {:#x}", name, tenant.fwmark));
    }
  }
  if (!owners.empty()) {
    interfaces = sets.set("interfaces", "type ifname", quoted(tenant_interfaces(config)));
    interface_owners =
        sets.set("interface_owners", "typeof oifname . meta mark", std::move(owners));
    zones = sets.map("zones", "typeof iifname : ct zone", interface_zones(config, tenants));
  }
  if (!ranges.empty()) {
    members = sets.set("members", "type iface_index", {});
    member_owners = sets.set("member_owners", "typeof oif . meta mark", {});
    member_zones = sets.map("member_zones", "typeof iif : ct zone", {});
  }
  std::vector<std::string> fwmarks;
  for (const NamespaceRange& each : namespace_ranges(config)) {
    fwmarks.push_back(each.first == each.last ? fmt::format("{:#x}", each.first)
                                              : fmt::format("{:#x}-{:#x}", each.first, each.last));
  }
  if (!fwmarks.empty()) namespaces = nft_set(fwmarks);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(config.policy.timeouts.udp).count();
  udp_timeout = fmt::format("{}s", std::max<std::int64_t>(seconds, 1));
}

std::vector<std::string> nft_member_patterns(const NftWords& word) {
  std::vector<std::string> all;
  for (const MemberRange& range : word.ranges) {
    for (std::string& name : quoted(range.patterns)) all.push_back(std::move(name));
  }
  return all;
}

std::vector<std::string> nft_entry_zones(const NftWords& word) {
  std::vector<std::string> all;
  if (!word.interfaces.empty()) all.push_back(fmt::format("iifname map {}", word.zones));
  if (!word.members.empty()) all.push_back(fmt::format("iif map {}", word.member_zones));
  return all;
}

std::string nft_from(const NftWords& word, std::uint32_t first, std::uint32_t last) {
  return first == last ? fmt::format("{} == {:#x}", word.fwmark, first)
                       : fmt::format("{} {:#x}-{:#x}", word.fwmark, first, last);
}

std::string nft_externals(const Config& config, Family family) {
  return nft_set(texts(config.external_addresses, family));
}

std::string nft_first_bits(const NftFamily& family, std::string_view field, unsigned length) {
  if (is_whole(family.family, length)) return fmt::format("{} {}", family.ip, field);
  return fmt::format("{} {} & {}", family.ip, field, to_text(mask_of(family.family, length)));
}

std::string nft_bits_at(unsigned place, Family family) {
  return fmt::format("@th,{},{}", place, family == Family::ipv4 ? 32 : 128);
}

std::string nft_first_bits_at(unsigned place, Family family, unsigned length) {
  std::string field = nft_bits_at(place, family);
  if (is_whole(family, length)) return field;
  return fmt::format("{} & {}", field, nft_number(mask_of(family, length)));
}

std::string nft_number(const IpAddress& address) {
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

std::string nft_set_fwmark(const Config& config, std::uint32_t fwmark) {
  if (~config.fwmark_mask == 0) return fmt::format("meta mark set {:#x}", fwmark);
  return fmt::format("meta mark set meta mark & {:#x} | {:#x}", ~config.fwmark_mask, fwmark);
}

std::string nft_queue_by(const Config& config, std::string_view field) {
  if (config.workers == 1) return nft_first_queue(config);
  std::vector<std::string> entries;
  for (const Steering& each : steerings(config)) {
    entries.push_back(fmt::format("{} : {}", each.bits, each.queue));
  }
  return fmt::format("{} {} & {} map {}", queue_to(config), field, steering_mask(config.workers),
                     nft_set(entries));
}

std::string nft_first_queue(const Config& config) {
  return fmt::format("{} {}", queue_to(config), config.first_queue);
}

}  // namespace swnat::rules
