#include "swnat/session_pattern.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <variant>

#include "engine/session/session.h"
#include "engine/wire/headers.h"

namespace swnat {
namespace {

template <class Shown>
bool matches_ends(const SessionPattern& pattern, const Shown& shown) {
  return pattern.matches_mapping(shown.namespace_id, shown.protocol, shown.internal,
                                 shown.external) &&
         pattern.remote.matches(shown.remote);
}

}  // namespace

// There may be thousands of them, and a shard's lock is held.
bool any_contains(std::span<const NamespaceRange> ranges, NamespaceId id) {
  const auto after = std::ranges::upper_bound(ranges, id, {}, &NamespaceRange::first);
  return after != ranges.begin() && std::prev(after)->contains(id);
}

bool EndpointPattern::matches(const IpEndpoint& endpoint) const {
  if (!ports.contains(endpoint.port)) return false;
  if (!network) return true;
  const auto contains = [&]<class Address>(const Network<Address>& wanted) {
    const auto* address = std::get_if<Address>(&endpoint.address);
    return address != nullptr && wanted.contains(*address);
  };
  return std::visit(contains, *network);
}

bool SessionPattern::matches_mapping(NamespaceId id, std::uint8_t its_protocol,
                                     const IpEndpoint& its_internal,
                                     const IpEndpoint& its_external) const {
  if (!namespaces.empty() && !any_contains(namespaces, id)) return false;
  const bool is_icmp = protocol == protocol::icmp && its_protocol == protocol::icmpv6;
  if (protocol && *protocol != its_protocol && !is_icmp) return false;
  return internal.matches(its_internal) && external.matches(its_external);
}

bool SessionPattern::matches(const SessionView& session) const {
  return matches_idle(session.idle) && matches_age(session.age) &&
         matches_remote_and_state(session) &&
         matches_mapping(session.namespace_id, session.protocol, session.internal,
                         session.external);
}

bool SessionPattern::matches(const Event& event) const {
  if (event.kind != EventKind::block_taken && event.kind != EventKind::block_given_up) {
    return matches_ends(*this, event);
  }
  Event of_port = event;  // of that which is next to those that are asked for
  const std::uint32_t last = event.external.port + static_cast<std::uint32_t>(event.count) - 1;
  of_port.external.port =
      std::clamp(external.ports.first, event.external.port, static_cast<std::uint16_t>(last));
  return matches_ends(*this, of_port);
}

bool is_session_state(std::string_view text) {
  const auto* const end = std::end(session_state_texts);
  return text != text_of(SessionState::free) &&
         std::find(std::begin(session_state_texts), end, text) != end;
}

}  // namespace swnat
