#include "rules/wanted/endpoint_rules.h"

#include <algorithm>

namespace swnat::rules {
namespace {

void add_once(std::vector<ProtocolEndpoint>& all, const ProtocolEndpoint& one) {
  if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
}

}  // namespace

std::vector<ProtocolEndpoint> forwarded_endpoints(const Config& config, Family family) {
  std::vector<ProtocolEndpoint> all;
  for (const ForwardRule& each : config.policy.forwards) {
    if (family_of(each.external.address) != family) continue;
    if (!config.policy.ports.contains(each.external.port))
      add_once(all, {each.protocol, each.external});
  }
  return all;
}

std::vector<ProtocolEndpoint> forward_targets(const Config& config, Family family) {
  std::vector<ProtocolEndpoint> all;
  for (const ForwardRule& each : config.policy.forwards) {
    if (family_of(each.to.address) == family) add_once(all, {each.protocol, each.to});
  }
  return all;
}

std::vector<RedirectedEndpoints> redirected_endpoints(const Config& config, Family family) {
  std::vector<RedirectedEndpoints> all;
  for (const RedirectRule& each : config.policy.redirects) {
    if (family_of(each.from.address) != family) continue;
    auto same = std::find_if(all.begin(), all.end(), [&](const auto& other) {
      return other.namespaces == each.namespaces;
    });
    if (same == all.end()) same = all.insert(same, {each.namespaces, {}});
    add_once(same->from, {each.protocol, each.from});
  }
  return all;
}

std::vector<ProtocolEndpoint> redirect_targets(const Config& config, Family family) {
  std::vector<ProtocolEndpoint> all;
  for (const RedirectRule& each : config.policy.redirects) {
    if (family_of(each.to.address) == family) add_once(all, {each.protocol, each.to});
  }
  return all;
}

bool takes_local_fragments(const Config& config, Family family) {
  return is_translated(config, family) &&
         (config.policy.hairpin || !redirect_targets(config, family).empty());
}

}  // namespace swnat::rules
