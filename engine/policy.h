// What an operator decides: the rules that sessions are established under.
//
// A Policy is an immutable value once the engine has it. It may be replaced at any time; sessions
// keep what was decided for them at their establishment, except that timeouts and limits follow the
// new policy.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "engine/address.h"
#include "engine/packet.h"

namespace swnat {

// Inclusive at both ends, host byte order.
struct PortRange {
  std::uint16_t first = 32768;
  std::uint16_t last = 65535;

  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// Which remotes may send to a mapping (RFC 4787 section 5, REQ-8).
enum class Filtering : std::uint8_t {
  endpoint_independent,        // any; but an echo reply only from whom was asked
  address_dependent,           // addresses that the mapping has a session with
  address_and_port_dependent,  // endpoints that the mapping has a session with
};

// What a new outbound session does in a namespace that is at its limit. Inbound packets never
// evict: the outside must not be able to end a tenant's sessions.
enum class AtLimit : std::uint8_t {
  evict_oldest,  // the namespace's least recently active session ends
  refuse,        // the packet is dropped (RFC 6888 REQ-11)
};

// Each up to max_timeout.
struct Timeouts {
  std::chrono::milliseconds tcp_established = std::chrono::hours(2) + std::chrono::minutes(4);
  // Opening and closing. 0: a closed session is freed at once, and an opening one has the default
  // time.
  std::chrono::milliseconds tcp_transitory = std::chrono::minutes(4);
  std::chrono::milliseconds udp = std::chrono::minutes(5);
  std::chrono::milliseconds icmp = std::chrono::minutes(1);

  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};
inline constexpr std::chrono::milliseconds max_timeout = std::chrono::hours(24 * 7);

// All namespaces whose id lies in [first, last]; each is a tenant of its own with a limit of its
// own.
struct NamespacePolicy {
  NamespaceId first = 0;
  NamespaceId last = 0;
  std::uint32_t session_limit = 200;  // all protocols together
  std::vector<Ipv4Address> external;  // a subset of Policy::external; empty: all of them
};

struct Policy {
  std::vector<Ipv4Address> external;  // at least one; fixed for an engine's life
  PortRange ports;                    // what may be handed out; fixed for an engine's life
  Filtering filtering = Filtering::address_dependent;
  AtLimit at_limit = AtLimit::evict_oldest;
  bool hairpin = true;
  Timeouts timeouts;
  std::vector<NamespacePolicy> namespaces;  // sorted by first, not overlapping; 65,536 ids at most
};

}  // namespace swnat
