#include "rules/nft_words.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "rules/steering.h"
#include "rules/tenant.h"

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
    // Not about a later fragment, which has no port.
    .error =
        "ip frag-off & 0x3fff == 0"
        " icmp type { destination-unreachable, time-exceeded, parameter-problem }"
        " @th,64,8 0x45 @th,112,16 & 0x1fff == 0",
    .quoted_protocol = "@th,136,8",
    .quoted_source = "@th,160,32",
    .quoted_port = "@th,224,16",
    .quoted_request = "@th,136,8 1 @th,224,8 8",
    .quoted_id = "@th,256,16",
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
        " parameter-problem } @th,64,8 & 0xf0 == 0x60",
    .quoted_protocol = "@th,112,8",
    .quoted_source = "@th,128,128",
    .quoted_port = "@th,384,16",
    .quoted_request = "@th,112,8 58 @th,384,8 128",
    .quoted_id = "@th,416,16",
};

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

NftWords::NftWords(const Config& config)
    : external_interface(fmt::format("\"{}\"", config.external_interface)),
      fwmark(fmt::format("meta mark & {:#x}", config.fwmark_mask)),
      ports(ports_text(config.ports)) {
  std::vector<std::string> names = quoted(tenant_interfaces(config));
  if (!names.empty()) interfaces = nft_set(names);
  names.push_back(external_interface);
  all_sides = nft_set(names);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(config.timeouts.udp).count();
  udp_timeout = fmt::format("{}s", std::max<std::int64_t>(seconds, 1));
}

std::string nft_externals(const Config& config, Family family) {
  return nft_set(texts(config.external_addresses, family));
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
