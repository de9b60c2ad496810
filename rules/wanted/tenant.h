// What the rules need to know of a namespace whose packets enter by interfaces of its own.
#pragma once

#include <string>
#include <vector>

#include "rules/config/config.h"
#include "rules/config/networks.h"
#include "rules/wanted/family.h"

namespace swnat::rules {

struct Tenant {
  std::string name;
  std::uint32_t fwmark = 0;
  std::vector<std::string> interfaces;
  // That it may send from, and that it reaches without NAT: none lies within another.
  std::vector<IpNetwork> sources;
  std::vector<IpNetwork> untranslated;
};

// Ranges, and namespaces without interfaces, are not among them: the operator's own rules set their
// fwmarks.
std::vector<Tenant> tenants(const Config& config);

// All interfaces of all of them.
std::vector<std::string> tenant_interfaces(const Config& config);

// A tenant that the configuration has no more, whose interfaces are still there.
struct RemovedTenant {
  std::vector<std::string> interfaces;
  std::vector<IpNetwork> sources;

  friend bool operator==(const RemovedTenant&, const RemovedTenant&) = default;
};

// Of all namespaces, those without interfaces too, and of removed tenants: what must never leave as
// it is. Sorted, joined where that makes fewer.
std::vector<IpNetwork> tenant_networks(const Config& config,
                                       const std::vector<RemovedTenant>& removed);

// The fwmarks of all namespaces, neighbours joined, sorted.
std::vector<NamespaceRange> namespace_ranges(const Config& config);

}  // namespace swnat::rules
