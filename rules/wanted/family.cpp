#include "rules/wanted/family.h"

#include <algorithm>

namespace swnat::rules {

bool is_translated(const Config& config, Family family) {
  return !texts(config.external_addresses, family).empty();
}

bool is_used(const Config& config, Family family) {
  // Routes and destinations without NAT are nothing without a subnet.
  return is_translated(config, family) ||
         std::any_of(config.namespaces.begin(), config.namespaces.end(),
                     [&](const auto& each) { return !texts(each.subnets, family).empty(); });
}

std::string_view ip_option(Family family) {
  return family == Family::ipv4 ? "-4" : "-6";
}

}  // namespace swnat::rules
