// Conntrack zones, one for each tenant with interfaces: of what it sends to the gateway itself, in
// that direction. Answers, which nothing tells apart, are looked up in the zone that all have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/config/config.h"
#include "rules/nft/fwmarks.h"
#include "rules/wanted/tenant.h"

namespace swnat::rules {

// Elements of a map from a tenant's interface to the tenant's zone.
std::vector<std::string> interface_zones(const Config& config, const std::vector<Tenant>& tenants);

// Of a member of a range (wanted/member_range.h), whose fwmark no mask shifts.
constexpr std::uint32_t member_zone(std::uint32_t fwmark) {
  return fwmark;
}

// Each zone, and the fwmark of its tenant.
std::vector<NftMarked> zone_fwmarks(const Config& config, const std::vector<Tenant>& tenants);

}  // namespace swnat::rules
