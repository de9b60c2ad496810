// The operator's rules, and what a change of them does to sessions.
#include <algorithm>
#include <span>

#include "tests/property/model.h"

namespace swnat::property {
namespace {

// Within this time of a change the engine notices shorter timeouts.
constexpr Time notice_time{67'000};

bool is_meant(const IpEndpoint& endpoint, const EndpointPattern& pattern) {
  return endpoint.port >= pattern.ports.first && endpoint.port <= pattern.ports.last &&
         (!pattern.network || contains(*pattern.network, endpoint.address));
}

// Patterns here name one namespace, if any, and no longest idle time.
bool is_meant(const ModelSession& session, const SessionPattern& pattern, Time now) {
  const bool is_of_tenant =
      pattern.namespaces.empty() || pattern.namespaces.front().first == session.tenant;
  return is_of_tenant && pattern.protocol.value_or(session.protocol) == session.protocol &&
         is_meant(session.internal, pattern.internal) &&
         is_meant(session.external, pattern.external) &&
         is_meant(session.outside_remote, pattern.remote) &&
         (pattern.state.empty() || pattern.state == session.state()) &&
         now - session.last_active >= pattern.idle_at_least;
}

bool has_same_lists(const Policy& a, const Policy& b) {
  return std::ranges::equal(a.namespaces, b.namespaces, {}, &NamespacePolicy::external,
                            &NamespacePolicy::external);
}

}  // namespace

const NamespacePolicy* Model::policy_of(NamespaceId tenant) const {
  for (const NamespacePolicy& one : policy_.namespaces) {
    if (tenant >= one.first && tenant <= one.last) return &one;
  }
  return nullptr;
}

bool Model::is_external(const IpAddress& address) const {
  if (const auto* v4 = std::get_if<Ipv4Address>(&address)) {
    return std::ranges::find(policy_.external.v4, *v4) != policy_.external.v4.end();
  }
  const auto& list = policy_.external.v6;
  return std::ranges::find(list, std::get<Ipv6Address>(address)) != list.end();
}

bool Model::is_dropped(NamespaceId tenant, std::uint8_t protocol, const IpEndpoint& remote) const {
  return std::ranges::any_of(policy_.drops, [&](const DropRule& rule) {
    return rule.protocol == protocol && rule.namespaces.contains(tenant) &&
           (protocol == ip::icmp || rule.ports.contains(remote.port));
  });
}

bool Model::is_untranslated(NamespaceId tenant, const IpAddress& destination) const {
  return std::ranges::any_of(policy_of(tenant)->untranslated, [&](const IpNetwork& network) {
    return contains(network, destination);
  });
}

IpEndpoint Model::redirected(NamespaceId tenant, std::uint8_t protocol,
                             const IpEndpoint& remote) const {
  for (const RedirectRule& rule : policy_.redirects) {
    if (rule.protocol == protocol && rule.namespaces.contains(tenant) && rule.from == remote) {
      return rule.to;
    }
  }
  return remote;
}

// A redirect to within the namespace stays there.
NamespaceId Model::realm_of(NamespaceId tenant, const IpEndpoint& from,
                            const IpEndpoint& to) const {
  const auto& inside = policy_of(tenant)->inside;
  const bool stays = from != to && std::ranges::any_of(inside, [&](const IpNetwork& network) {
                       return contains(network, to.address);
                     });
  return stays ? tenant : 0;
}

const ForwardRule* Model::forward_to(std::uint8_t protocol, const IpEndpoint& external) const {
  for (const ForwardRule& rule : policy_.forwards) {
    if (rule.protocol == protocol && rule.external == external) return &rule;
  }
  return nullptr;
}

const ForwardRule* Model::forward_from(NamespaceId tenant, std::uint8_t protocol,
                                       const IpEndpoint& internal) const {
  for (const ForwardRule& rule : policy_.forwards) {
    if (rule.protocol == protocol && rule.namespace_id == tenant && rule.to == internal) {
      return &rule;
    }
  }
  return nullptr;
}

// Whether the rules would still have the session come about as it is.
bool Model::fits(const ModelSession& session) const {
  const ForwardRule* inbound = forward_to(session.protocol, session.external);
  if (session.forwarded) {
    if (inbound == nullptr || inbound->namespace_id != session.tenant ||
        inbound->to != session.internal) {
      return false;
    }
  } else if (inbound != nullptr ||
             forward_from(session.tenant, session.protocol, session.internal) != nullptr) {
    return false;
  }
  if (session.from_outside) return true;
  const IpEndpoint remote = redirected(session.tenant, session.protocol, session.inside_remote);
  const bool passes = remote == session.inside_remote &&
                      is_untranslated(session.tenant, session.inside_remote.address);
  return remote == session.outside_remote &&
         realm_of(session.tenant, session.inside_remote, remote) == session.realm && !passes &&
         !is_dropped(session.tenant, session.protocol, session.inside_remote);
}

void Model::configure(Policy policy, Time now) {
  travel(now);
  if (policy.timeouts != policy_.timeouts) slow_until_ = now + notice_time;
  if (!has_same_lists(policy, policy_)) paired_.clear();
  // A port that a rule gave up may rest, if it is one that is handed out.
  for (const ForwardRule& rule : policy_.forwards) {
    ledger_.freed(rule.protocol, rule.external, now, now, false);
  }
  policy_ = std::move(policy);
  const std::set<std::string> there = shown();
  revive(there, now);
  end_unfit(there, now);
  travel(now);
  for (const ForwardRule& rule : policy_.forwards) ledger_.taken(rule.protocol, rule.external);
  enforce_limits(there);
  check_counts(now);
}

// Timeouts that became longer may revive a session that the engine has not looked at since it
// expired.
void Model::revive(const std::set<std::string>& shown, Time now) {
  const auto is_live = [&](const ModelSession& session) {
    return std::ranges::any_of(
        sessions_, [&](const ModelSession& one) { return name_of(one) == name_of(session); });
  };
  for (auto one = expired_.begin(); one != expired_.end();) {
    const ModelSession& session = one->session;
    const bool revives = shown.contains(name_of(session)) && !is_live(session) &&
                         now - session.last_active < timeout_of(session);
    if (revives) {
      sessions_.push_back(session);
      events_.revived(session);
    }
    one = revives ? expired_.erase(one) : std::next(one);
  }
}

void Model::end_unfit(const std::set<std::string>& shown, Time now) {
  const auto is_unfit = [&](const ModelSession& session) {
    return policy_of(session.tenant) == nullptr || !fits(session);
  };
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    const auto one = session++;
    if (!is_unfit(*one)) continue;
    if (shown.contains(name_of(*one))) {
      throw Disagreement("the policy no longer allows " + name_of(*one));
    }
    end(one, EndCause::policy, now);
  }
  for (auto expired = expired_.begin(); expired != expired_.end();) {
    const auto one = expired++;
    if (!is_unfit(one->session)) continue;
    forget(one, now);
  }
}

void Model::enforce_limits(const std::set<std::string>& shown) {
  // Expired ones may be among those that end.
  for (ExpiredSession& one : expired_) one.surely_rests = false;
  std::map<Room, std::vector<Sessions::iterator>> of;
  for (auto one = sessions_.begin(); one != sessions_.end(); ++one)
    of[room_of(*one)].push_back(one);
  for (auto& [room, all] : of) {
    const auto first_gone = std::partition(
        all.begin(), all.end(),
        [&](const Sessions::iterator& one) { return shown.contains(name_of(*one)); });
    const std::span gone(first_gone, all.end());
    const std::size_t limit = limit_of(room);
    const auto beyond = [&](std::size_t count) { return count > limit ? count - limit : 0; };
    if (gone.size() < beyond(all.size()) || gone.size() > beyond(all.size() + perhaps(room))) {
      throw Disagreement(std::to_string(gone.size()) + " sessions of " + text(room) +
                         " ended by a policy of " + std::to_string(limit));
    }
    for (const auto& victim : gone) {
      for (auto one = all.begin(); one != first_gone; ++one) {
        if (goes_before(**one, *victim)) {
          throw Disagreement("ended: " + name_of(*victim) + ", before it: " + name_of(**one));
        }
      }
    }
    for (const auto& victim : gone) end(victim, EndCause::evicted, now_);
  }
}

void Model::flushed(const SessionPattern& pattern, const std::vector<SessionView>& listed,
                    std::size_t ended, Time now) {
  travel(now);
  // Which session of a mapping ends last, and so whether its port rests, is the engine's choice.
  std::vector<std::string> names;
  for (const auto& one : set_over([&](const ModelSession& session) {
         return is_meant(session, pattern, now) ? std::optional(now) : std::nullopt;
       })) {
    names.push_back(name_of(one->session));
    events_.ended(one->session, EndCause::flushed);
    forget(one, now);
  }
  std::vector<std::string> shown;
  for (const SessionView& view : listed) shown.push_back(name_of(view));
  if (!std::ranges::is_permutation(names, shown) || ended != names.size()) {
    throw Disagreement(std::to_string(shown.size()) + " sessions listed and " +
                       std::to_string(ended) + " ended, the model's " +
                       std::to_string(names.size()));
  }
  check_counts(now);
}

}  // namespace swnat::property
