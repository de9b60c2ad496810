// What the rules need to know of a namespace whose packets enter by interfaces of its own.
#pragma once

#include <string>
#include <vector>

#include "rules/address_text.h"
#include "rules/config.h"

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

}  // namespace swnat::rules
