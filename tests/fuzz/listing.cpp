#include "tests/fuzz/listing.h"

#include <algorithm>
#include <map>

#include "tests/fuzz/anatomy.h"
#include "tests/fuzz/target.h"

namespace swnat::fuzz {
namespace {

bool has_endpoints(const SessionView& session) {
  const std::uint8_t protocol = session.protocol;
  return protocol == number::tcp || protocol == number::udp || protocol == number::icmp ||
         protocol == number::icmpv6;
}

const ForwardRule* forward_of(const Policy& policy, const SessionView& session) {
  for (const ForwardRule& rule : policy.forwards) {
    if (rule.protocol == session.protocol && rule.external == session.external) return &rule;
  }
  return nullptr;
}

bool shares_mapping(const Policy& policy, const SessionView& session) {
  return policy.mapping == Mapping::endpoint_independent && has_endpoints(session);
}

// One internal endpoint may have several external ones only where rules say so.
bool is_target_of_several(const Policy& policy, const SessionView& session) {
  return std::ranges::count_if(policy.forwards, [&](const ForwardRule& rule) {
           return rule.protocol == session.protocol && rule.namespace_id == session.namespace_id &&
                  rule.to == session.internal;
         }) > 1;
}

void check_pair(const Policy& policy, const SessionView& a, const SessionView& b) {
  const bool same_internal = a.namespace_id == b.namespace_id && a.internal == b.internal;
  if (a.protocol != b.protocol) return;
  if (a.external == b.external) {
    if (shares_mapping(policy, a)) {
      require(same_internal, "an external endpoint stands for one internal endpoint");
    }
    // A remote endpoint within the namespace is another one than the same address outside.
    const NamespacePolicy* one = find_namespace(policy, a.namespace_id);
    const bool may_be_inside = one != nullptr && contains(one->inside, a.remote.address);
    require(may_be_inside || !(a.remote == b.remote),
            "an external and a remote endpoint have one session");
  }
  if (same_internal && shares_mapping(policy, a) && !is_target_of_several(policy, a)) {
    require(a.external == b.external, "an internal endpoint has one external endpoint");
  }
}

void check_external(const Policy& policy, const SessionView& session) {
  const NamespacePolicy* one = find_namespace(policy, session.namespace_id);
  require(one != nullptr, "a session is of a namespace of the policy");
  require(is_external(policy.external, session.external.address),
          "an external endpoint has an external address");
  if (const ForwardRule* rule = forward_of(policy, session)) {
    require(rule->namespace_id == session.namespace_id && rule->to == session.internal,
            "a forwarded endpoint is its rule's");
    return;
  }
  if (!has_endpoints(session)) {
    require(session.external.port == 0, "a protocol without ports has none");
  } else {
    require(policy.ports.contains(session.external.port), "an external port is of the range");
  }
}

}  // namespace

Listing listing_of(const Engine& engine, Time now) {
  Listing listing;
  Engine::Cursor cursor;
  std::array<SessionView, 5> some;
  while (const auto count = engine.sessions(cursor, some, now)) {
    listing.insert(listing.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(*count));
  }
  return listing;
}

bool is_same(const SessionView& a, const SessionView& b) {
  return a.namespace_id == b.namespace_id && a.protocol == b.protocol && a.internal == b.internal &&
         a.external == b.external && a.remote == b.remote;
}

bool is_unchanged(const Listing& before, const Listing& after) {
  return std::ranges::equal(before, after, [](const SessionView& a, const SessionView& b) {
    return is_same(a, b) && a.state == b.state && a.age == b.age && a.idle == b.idle &&
           a.expires_in == b.expires_in;
  });
}

const SessionView* find(const Listing& listing, const SessionView& session) {
  for (const SessionView& one : listing) {
    if (is_same(one, session)) return &one;
  }
  return nullptr;
}

void check_counts(const Engine& engine, const Policy& policy, const Listing& listing,
                  std::uint32_t max_sessions) {
  const auto uses = engine.namespaces();
  std::size_t ids = 0;
  for (const NamespacePolicy& one : policy.namespaces) ids += one.last - one.first + 1;
  require(uses.size() == ids, "each namespace of the policy is listed");
  std::uint64_t sum = 0;
  std::map<NamespaceId, std::uint32_t> listed;
  for (const SessionView& session : listing) ++listed[session.namespace_id];
  for (const NamespaceUse& use : uses) {
    const NamespacePolicy* one = find_namespace(policy, use.id);
    require(one != nullptr && one->session_limit == use.session_limit, "limits are the policy's");
    require(use.sessions <= use.session_limit, "no namespace exceeds its limit");
    require(listed[use.id] <= use.sessions, "a namespace's count holds those that are listed");
    sum += use.sessions;
  }
  require(sum == engine.session_count(), "the namespaces' counts make the whole");
  require(sum <= max_sessions, "no more sessions than the engine has room for");
}

void check_owners(const Policy& policy, const Listing& listing) {
  for (std::size_t i = 0; i < listing.size(); ++i) {
    check_external(policy, listing[i]);
    for (std::size_t j = 0; j < i; ++j) check_pair(policy, listing[i], listing[j]);
  }
}

void check_losses(const Listing& before, const Listing& after, const Policy& policy,
                  NamespaceId sender) {
  for (const SessionView& session : before) {
    if (session.namespace_id == sender || find(after, session) != nullptr) continue;
    // A connection that both ends have closed may be freed with its last segment.
    const bool may_close =
        session.protocol == number::tcp && policy.timeouts.tcp_transitory.count() == 0;
    require(may_close, "a packet ends no session of another namespace");
  }
}

}  // namespace swnat::fuzz
