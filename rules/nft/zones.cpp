#include "rules/nft/zones.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace swnat::rules {
namespace {

constexpr std::uint32_t last_zone = 0xffff;

// The fwmark itself where it fits, so that zones stay what they are when others come and go. That
// of a member always does.
std::vector<std::uint32_t> zones_of(const Config& config, const std::vector<Tenant>& tenants) {
  std::vector<std::uint32_t> zones;
  for (const Tenant& each : tenants) {
    zones.push_back(each.fwmark >> std::countr_zero(config.fwmark_mask));
  }
  if (std::all_of(zones.begin(), zones.end(), [](auto zone) { return zone <= last_zone; })) {
    return zones;
  }
  const std::vector<std::uint32_t> taken = member_fwmarks(member_ranges(config));
  std::uint32_t next = 0;
  for (std::uint32_t& zone : zones) {
    do {
      next = next % last_zone + 1;
    } while (std::ranges::binary_search(taken, next));
    zone = next;
  }
  return zones;
}

}  // namespace

std::vector<std::string> interface_zones(const Config& config, const std::vector<Tenant>& tenants) {
  const std::vector<std::uint32_t> zones = zones_of(config, tenants);
  std::vector<std::string> elements;
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    for (const std::string& name : quoted(tenants[i].interfaces)) {
      elements.push_back(fmt::format("{} : {}", name, zones[i]));
    }
  }
  return elements;
}

std::vector<NftMarked> zone_fwmarks(const Config& config, const std::vector<Tenant>& tenants) {
  const std::vector<std::uint32_t> zones = zones_of(config, tenants);
  std::vector<NftMarked> all;
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    all.push_back({fmt::format("{}", zones[i]), tenants[i].fwmark});
  }
  for (const std::uint32_t fwmark : member_fwmarks(member_ranges(config))) {
    all.push_back({fmt::format("{}", member_zone(fwmark)), fwmark});
  }
  return all;
}

}  // namespace swnat::rules
