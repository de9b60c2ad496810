#include "swnat/session_pattern.h"

#include <algorithm>
#include <variant>

#include "engine/session/session.h"
#include "engine/wire/headers.h"

namespace swnat {
namespace {

template <class Shown>
bool matches_ends(const SessionPattern& pattern, const Shown& shown) {
  const auto& ranges = pattern.namespaces;
  const auto is_in = [&](const NamespaceRange& range) {
    return range.contains(shown.namespace_id);
  };
  if (!ranges.empty() && std::ranges::none_of(ranges, is_in)) return false;
  const bool is_icmp = pattern.protocol == protocol::icmp && shown.protocol == protocol::icmpv6;
  if (pattern.protocol && *pattern.protocol != shown.protocol && !is_icmp) return false;
  return pattern.internal.matches(shown.internal) && pattern.external.matches(shown.external) &&
         pattern.remote.matches(shown.remote);
}

}  // namespace

bool EndpointPattern::matches(const IpEndpoint& endpoint) const {
  if (!ports.contains(endpoint.port)) return false;
  if (!network) return true;
  const auto contains = [&]<class Address>(const Network<Address>& wanted) {
    const auto* address = std::get_if<Address>(&endpoint.address);
    return address != nullptr && wanted.contains(*address);
  };
  return std::visit(contains, *network);
}

bool SessionPattern::matches(const SessionView& session) const {
  return session.idle >= idle_at_least && session.idle <= idle_at_most &&
         (state.empty() || state == session.state) && matches_ends(*this, session);
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
