// The operator's rules, and what a change of them does to sessions.
#include <algorithm>

#include "tests/property/model.h"

namespace swnat::property {
namespace {

// Within this time of a change the engine notices shorter timeouts.
constexpr Time notice_time{67'000};

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

bool Model::is_dropped(NamespaceId tenant, const Message& message) const {
  return std::ranges::any_of(policy_.drops, [&](const DropRule& rule) {
    const bool any_port = message.protocol == ip::icmp;
    return rule.protocol == message.protocol && rule.namespaces.contains(tenant) &&
           (any_port || rule.ports.contains(message.ends.destination.port));
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

// Whether the rules still allow what was decided for the session. Where it is an outbound rule that
// would decide otherwise now, the engine may keep the session or end it.
Model::Fit Model::fit_of(const ModelSession& session) const {
  const ForwardRule* inbound = forward_to(session.protocol, session.external);
  const bool leads_elsewhere = inbound != nullptr && (inbound->namespace_id != session.tenant ||
                                                      inbound->to != session.internal);
  const ForwardRule* outbound = forward_from(session.tenant, session.protocol, session.internal);
  const bool leaves_elsewhere = outbound != nullptr && outbound->external != session.external;
  const bool has_no_forward = session.forwarded && inbound == nullptr;
  if (leads_elsewhere || leaves_elsewhere || has_no_forward) return Fit::ends;
  const bool same_way =
      redirected(session.tenant, session.protocol, session.inside_remote) == session.outside_remote;
  if (!same_way && session.redirected()) return Fit::ends;
  Message message;
  message.protocol = session.protocol;
  message.ends = {session.internal, session.inside_remote};
  if (!same_way || is_dropped(session.tenant, message) ||
      is_untranslated(session.tenant, session.inside_remote.address)) {
    return Fit::may_end;
  }
  return Fit::lives;
}

void Model::configure(Policy policy, Time now) {
  travel(now);
  if (policy.timeouts != policy_.timeouts) slow_until_ = now + notice_time;
  if (!has_same_lists(policy, policy_)) paired_.clear();
  policy_ = std::move(policy);
  const std::set<std::string> there = shown();
  revive(there, now);
  std::erase_if(expired_,
                [&](const Expired& one) { return policy_of(one.session.tenant) == nullptr; });
  end_unfit(there, now);
  travel(now);
  enforce_limits(there, now);
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
    if (revives) sessions_.push_back(session);
    one = revives ? expired_.erase(one) : std::next(one);
  }
}

void Model::end_unfit(const std::set<std::string>& shown, Time now) {
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    const auto next = std::next(session);
    const bool is_there = shown.contains(name_of(*session));
    const Fit fit = policy_of(session->tenant) == nullptr ? Fit::ends : fit_of(*session);
    if (fit == Fit::ends && is_there) {
      throw Disagreement("the policy no longer allows " + name_of(*session));
    }
    // Engine::set_policy() knows no time, so that the rest may count from earlier.
    if (fit == Fit::ends || (fit == Fit::may_end && !is_there)) end(session, Time{0}, now);
    session = next;
  }
}

void Model::enforce_limits(const std::set<std::string>& shown, Time now) {
  std::map<NamespaceId, std::vector<Sessions::iterator>> of;
  for (auto one = sessions_.begin(); one != sessions_.end(); ++one) of[one->tenant].push_back(one);
  for (auto& [tenant, all] : of) {
    const auto gone = std::ranges::partition(
        all, [&](const Sessions::iterator& one) { return shown.contains(name_of(*one)); });
    const std::size_t limit = policy_of(tenant)->session_limit;
    const auto beyond = [&](std::size_t count) { return count > limit ? count - limit : 0; };
    if (gone.size() < beyond(all.size()) || gone.size() > beyond(all.size() + perhaps(tenant))) {
      throw Disagreement(std::to_string(gone.size()) + " sessions of namespace " +
                         std::to_string(tenant) + " ended by a policy of " + std::to_string(limit));
    }
    for (const auto& victim : gone) {
      for (auto one = all.begin(); one != gone.begin(); ++one) {
        if ((*one)->last_active < victim->last_active) {
          throw Disagreement("ended: " + name_of(*victim) +
                             ", less recently active: " + name_of(**one));
        }
      }
    }
    for (const auto& victim : gone) end(victim, Time{0}, now);
  }
}

}  // namespace swnat::property
