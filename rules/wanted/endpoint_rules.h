// The endpoints of [[forward]] and [[redirect]] rules that the kernel must be told one by one.
#pragma once

#include <cstdint>
#include <vector>

#include "rules/config/config.h"
#include "rules/wanted/family.h"

namespace swnat::rules {

struct ProtocolEndpoint {
  std::uint8_t protocol = 6;  // 6 TCP, 17 UDP
  IpEndpoint endpoint;

  friend bool operator==(const ProtocolEndpoint&, const ProtocolEndpoint&) = default;
};

// The external endpoints of forwards whose ports are not among those that the NAT hands out.
std::vector<ProtocolEndpoint> forwarded_endpoints(const Config& config, Family family);

// The internal endpoints of forwards, each once.
std::vector<ProtocolEndpoint> forward_targets(const Config& config, Family family);

// What these namespaces' packets are redirected from.
struct RedirectedEndpoints {
  NamespaceRange namespaces;
  std::vector<ProtocolEndpoint> from;
};
// No endpoint is twice in one of them; their namespaces may overlap.
std::vector<RedirectedEndpoints> redirected_endpoints(const Config& config, Family family);

// Where redirected packets go, and what answers them: each once.
std::vector<ProtocolEndpoint> redirect_targets(const Config& config, Family family);

// Whether fragments from a tenant to an external address may be the NAT's: hairpins, and answers to
// what was redirected within a namespace.
bool takes_local_fragments(const Config& config, Family family);

}  // namespace swnat::rules
