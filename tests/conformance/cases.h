// What the conformance tests share beside the gateway: each is named by the requirement that it
// shows, and named in the table of engine/README.md.
#pragma once

#include <set>
#include <string_view>

#include "tests/support/connection.h"
#include "tests/support/gateway.h"

namespace swnat::test {

inline constexpr std::uint8_t protocols_with_ports[] = {protocol::tcp, protocol::udp};
inline constexpr Host router = Host::of(192, 0, 2, 33);
inline constexpr Peer stranger{Host::of(192, 0, 2, 99), 7777};
inline constexpr Peer neighbour{Host::of(10, 0, 0, 9), 5004};

inline Policy policy_with(Filtering filtering) {
  Policy policy = roomy_policy();
  policy.filtering = filtering;
  return policy;
}

inline Policy policy_with(PortRanges ports) {
  Policy policy = roomy_policy();
  policy.ports = ports;
  return policy;
}

inline Bytes text(std::string_view characters) {
  return Bytes(characters.begin(), characters.end());
}

inline Bytes quoted_in(const Bytes& error) {
  return Bytes(error.begin() + 28, error.end());
}

inline bool sums_are_right(const Bytes& packet) {
  return header_checksum_is_right(packet) && transport_checksum_is_right(packet);
}

}  // namespace swnat::test
