// What an engine says of its namespaces, forwards and port blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "swnat/address.h"
#include "swnat/packet.h"
#include "swnat/policy.h"
#include "swnat/traffic.h"

namespace swnat {

struct NamespaceUse {
  NamespaceId id;
  // Those whose time is over count until they are freed: by packets, or by expire(), which comes to
  // them within half a second if it is called often, or within 65 after a policy with shorter
  // timeouts.
  std::uint32_t sessions;
  std::uint32_t session_limit;
  std::uint32_t ports = 0;        // that mappings have, as NamespacePolicy::port_limit counts them
  std::uint32_t port_limit = 0;   // as in the policy
  std::uint32_t port_block = 0;   // as in the policy
  std::uint32_t port_blocks = 0;  // blocks that it has, those that rest included
  // Since the engine was made, also over policies that did not have the namespace.
  std::uint64_t evicted = 0;  // sessions that ended for new ones (EndCause::evicted)
  std::uint64_t refused = 0;  // packets of it or to it that got no session (is_refusal)
  std::uint64_t sessions_made = 0;
};

// The external ports of one address and protocol that may be handed out (Policy::ports). Each is
// one of these.
struct PortUse {
  IpAddress external;
  std::uint8_t protocol = 0;  // TCP, UDP, or its family's ICMP, whose identifiers these are
  // Those that mappings have, and forwards also without one. With address-and-port-dependent
  // mapping a port serves sessions with many remotes and counts only if it is a forward's.
  std::uint32_t used = 0;
  std::uint32_t resting = 0;   // alone, or as part of a port block that rests
  std::uint32_t withheld = 0;  // Engine::withhold()
  // With port blocks also those that only the namespace of their block can get.
  std::uint32_t free = 0;

  std::uint32_t total() const { return used + resting + withheld + free; }
};

// A forward that has room of its own (ForwardRule::session_limit).
struct ForwardUse {
  std::uint8_t protocol = 0;
  IpEndpoint external;
  NamespaceId namespace_id = 0;
  std::uint32_t sessions = 0;  // as in NamespaceUse
  std::uint32_t session_limit = 0;
};

// A block of ports of one external address (NamespacePolicy::port_block).
struct PortBlockView {
  NamespaceId namespace_id = 0;
  IpAddress external;
  PortRange ports;
  bool rests = false;  // nobody has a port in it; soon others may have it
};

struct NamespaceTraffic {
  NamespaceId id;
  TwoWayTraffic traffic;
};

// How far Engine::namespace_traffic() has read, which alone knows what this says.
struct TrafficReading {
  std::uint32_t shard = 0;     // counted through both families
  std::uint64_t position = 0;  // within the shard
  std::vector<TwoWayTraffic> by_slot = {};
};

}  // namespace swnat
