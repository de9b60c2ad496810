// Which sessions are meant, by what an operator knows of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "swnat/event.h"
#include "swnat/policy.h"
#include "swnat/session_view.h"

namespace swnat {

struct EndpointPattern {
  // A single address is a network of all its bits. Without one: any address of either family.
  std::optional<IpNetwork> network = {};
  // Of ICMP the external and the internal port are the identifier, and a remote's is 0.
  PortRange ports = {0, 65535};

  bool matches(const IpEndpoint& endpoint) const;
  friend bool operator==(const EndpointPattern&, const EndpointPattern&) = default;
};

// What is said must be so; a plain one means every session.
struct SessionPattern {
  // One of these, which are sorted and apart; none: any.
  std::vector<NamespaceRange> namespaces = {};
  std::optional<std::uint8_t> protocol = {};  // IP protocol number; 1: ICMP of either family
  EndpointPattern internal = {};
  EndpointPattern external = {};
  EndpointPattern remote = {};
  std::string state = {};  // as SessionView::state has it; "": any
  std::chrono::milliseconds idle_at_least{0};
  std::chrono::milliseconds idle_at_most = std::chrono::milliseconds::max();
  std::chrono::milliseconds age_at_least{0};  // session_age_max at most, or none is meant
  std::chrono::milliseconds age_at_most = std::chrono::milliseconds::max();

  bool matches(const SessionView& session) const;
  // A mapping is meant by its own ends, by the shortest idle time and the greatest age of its
  // sessions, and by one of them that has the remote and the state.
  bool matches_mapping(NamespaceId id, std::uint8_t its_protocol, const IpEndpoint& its_internal,
                       const IpEndpoint& its_external) const;
  bool matches_remote_and_state(const SessionView& session) const {
    return (state.empty() || state == session.state) && remote.matches(session.remote);
  }
  bool matches_idle(std::chrono::milliseconds idle) const {
    return idle >= idle_at_least && idle <= idle_at_most;
  }
  bool matches_age(std::chrono::milliseconds age) const {
    return age >= age_at_least && age <= age_at_most;
  }
  // An event of such a session or mapping, or of a packet that would have made such a session, or
  // of a block that has any of the external ports; state and time do not count. What an event does
  // not have matches only what is not asked for.
  bool matches(const Event& event) const;
  friend bool operator==(const SessionPattern&, const SessionPattern&) = default;
};

// Whether any of the ranges, which are sorted and apart, has it.
bool any_contains(std::span<const NamespaceRange> ranges, NamespaceId id);

// Whether there are sessions of a state that is called so.
bool is_session_state(std::string_view text);

}  // namespace swnat
