// Time, and what the engine shows of itself.
#include <algorithm>

#include "tests/property/model.h"

namespace swnat::property {
namespace {

// Engine::expire() looks at a session at the latest this much after its time is over.
constexpr Time sweep_delay{1100};

// ICMP of either family is 1 in the model, as in a policy.
std::uint8_t plain(std::uint8_t protocol) {
  constexpr std::uint8_t icmpv6 = 58;
  return protocol == icmpv6 ? ip::icmp : protocol;
}

template <class Shown>
std::string name(NamespaceId tenant, const Shown& shown, const IpEndpoint& remote) {
  return std::to_string(tenant) + " protocol " + std::to_string(plain(shown.protocol)) + " " +
         text(shown.internal) + " as " + text(shown.external) + " to " + text(remote);
}

struct Detail {
  std::string state;
  Time age;
  Time idle;
  Time expires_in;
  TwoWayTraffic traffic;

  friend bool operator==(const Detail&, const Detail&) = default;
};

std::string text(const TwoWayTraffic& traffic) {
  const auto text_of = [](const Traffic& one) {
    return std::to_string(one.packets) + " packets with " + std::to_string(one.bytes) + " bytes";
  };
  return text_of(traffic.outbound) + " out, " + text_of(traffic.inbound) + " in";
}

std::string text(const std::string& session, const Detail& detail) {
  return session + ", " + detail.state + ", " + std::to_string(detail.age.count()) +
         " ms old, idle " + std::to_string(detail.idle.count()) + " ms, expires in " +
         std::to_string(detail.expires_in.count()) + " ms, " + text(detail.traffic);
}

}  // namespace

bool has_ports(std::uint8_t protocol) {
  return protocol == ip::tcp || protocol == ip::udp || protocol == ip::icmp;
}

std::string name_of(const ModelSession& session) {
  return name(session.tenant, session, session.outside_remote);
}

std::string name_of(const SessionView& view) {
  return name(view.namespace_id, view, view.remote);
}

std::string name_of(const Event& event) {
  return name(event.namespace_id, event, event.remote);
}

Time Model::timeout_of(const ModelSession& session) const {
  const Timeouts& timeouts = policy_.timeouts;
  if (session.protocol == ip::icmp) return timeouts.icmp;
  if (session.protocol != ip::tcp) return timeouts.udp;
  if (session.tcp.is_established()) return timeouts.tcp_established;
  const bool at_once = timeouts.tcp_transitory.count() == 0;
  return at_once ? Timeouts{}.tcp_transitory : timeouts.tcp_transitory;
}

void Model::travel(Time now) {
  now_ = std::max(now_, now);
  for (const auto& one : set_over([&](const ModelSession& session) {
         const Time since = session.last_active + timeout_of(session);
         return since > now ? std::nullopt : std::optional(since);
       })) {
    events_.expired(one->session);
  }
}

// Those of which `over_since` says since when they are over.
std::vector<std::list<ExpiredSession>::iterator> Model::set_over(
    const std::function<std::optional<Time>(const ModelSession&)>& over_since) {
  std::vector<std::list<ExpiredSession>::iterator> all;
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    const auto one = session++;
    const std::optional<Time> since = over_since(*one);
    if (!since) continue;
    all.push_back(expired_.insert(expired_.end(), {*one, *since}));
    sessions_.erase(one);
  }
  for (const auto& one : all) {
    one->may_rest = !one->session.is_over() && !one->session.forwarded;
    one->surely_rests = one->may_rest && !is_mapped(one->session) && all_rest(one->session);
  }
  return all;
}

bool Model::is_mapped(const ModelSession& like) const {
  return std::ranges::any_of(sessions_, [&](const ModelSession& one) {
    return one.protocol == like.protocol && one.external == like.external;
  });
}

// Whether the port rests, whichever of the mapping's expired sessions the engine frees last.
bool Model::all_rest(const ModelSession& like) const {
  return std::ranges::none_of(expired_, [&](const ExpiredSession& one) {
    return one.session.protocol == like.protocol && one.session.external == like.external &&
           one.session.is_over();
  });
}

// The port is free again when the last session of the mapping is over.
void Model::end(Sessions::iterator session, EndCause cause, Time now) {
  const ModelSession last = *session;
  sessions_.erase(session);
  events_.ended(last, cause);
  // A tenant at its limit must not let all ports rest.
  const bool rests = !last.is_over() && cause != EndCause::evicted;
  if (is_mapped(last) || !rests || last.forwarded) return;
  if (has_blocks()) return;  // blocks rest, and not their ports
  // One that has expired may hold it still, and be evicted.
  const bool is_held = std::ranges::any_of(expired_, [&](const ExpiredSession& one) {
    return one.session.protocol == last.protocol && one.session.external == last.external;
  });
  ledger_.freed(last.protocol, last.external, now, now, !is_held);
}

// The engine no longer has it; its port is free when no other of the mapping is there.
void Model::forget(std::list<ExpiredSession>::iterator expired, Time now) {
  const ExpiredSession gone = *expired;
  expired_.erase(expired);
  const ModelSession& last = gone.session;
  bool is_last = true;
  for (ExpiredSession& one : expired_) {
    if (one.session.protocol != last.protocol || one.session.external != last.external) continue;
    is_last = false;
    one.may_rest = one.may_rest || gone.may_rest;
    one.surely_rests = one.surely_rests && gone.surely_rests;
  }
  if (!is_last || is_mapped(last) || !gone.may_rest || has_blocks()) return;
  ledger_.freed(last.protocol, last.external, gone.since, now, gone.surely_rests);
}

// Some of the namespace's expired sessions may have been evicted: then their ports do not rest.
void Model::doubt_ports(NamespaceId tenant) {
  for (ExpiredSession& one : expired_) {
    if (one.session.tenant == tenant) one.surely_rests = false;
  }
}

std::string text(const Room& room) {
  const std::string tenant = "namespace " + std::to_string(room.tenant);
  return room.forward.empty() ? tenant : tenant + "'s forward " + room.forward;
}

Room room_of(NamespaceId tenant, std::uint8_t protocol, const IpEndpoint& external) {
  return {tenant, std::to_string(protocol) + " " + text(external)};
}

// What comes in by a forward with room of its own counts there.
Room Model::room_of(const ModelSession& session) const {
  if (session.forwarded && session.from_outside) {
    const ForwardRule* rule = forward_to(session.protocol, session.external);
    if (rule != nullptr && rule->session_limit != 0) {
      return property::room_of(session.tenant, session.protocol, session.external);
    }
  }
  return {session.tenant, ""};
}

std::uint32_t Model::limit_of(const Room& room) const {
  for (const ForwardRule& rule : policy_.forwards) {
    if (property::room_of(rule.namespace_id, rule.protocol, rule.external) == room) {
      return rule.session_limit;
    }
  }
  return policy_of(room.tenant)->session_limit;
}

std::uint32_t Model::live(const Room& room) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(
      sessions_, [&](const ModelSession& one) { return room_of(one) == room; }));
}

std::uint32_t Model::perhaps(const Room& room) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(
      expired_, [&](const ExpiredSession& one) { return room_of(one.session) == room; }));
}

std::set<std::string> Model::shown() const {
  std::set<std::string> names;
  for (const SessionView& view : witness_.sessions()) names.insert(name_of(view));
  return names;
}

const ModelSession* Model::find_inside(NamespaceId tenant, std::uint8_t protocol,
                                       const IpEndpoint& internal, const IpEndpoint& remote) const {
  for (const ModelSession& one : sessions_) {
    if (one.tenant == tenant && one.protocol == protocol && one.internal == internal &&
        one.inside_remote == remote) {
      return &one;
    }
  }
  return nullptr;
}

const ModelSession* Model::find_mapping(NamespaceId tenant, std::uint8_t protocol,
                                        const IpEndpoint& internal) const {
  for (const ModelSession& one : sessions_) {
    if (one.tenant == tenant && one.protocol == protocol && one.internal == internal) return &one;
  }
  return nullptr;
}

void Model::judge_events(std::span<const Event> told, bool is_new_policy) {
  std::map<NamespaceId, std::uint32_t> counts;
  for (const auto& [room, count] : witness_.counts()) counts[room.tenant] += count;
  events_.judge(told, is_new_policy, counts, witness_.blocks());
}

void Model::check_counts(Time now) {
  for (const auto& [room, count] : witness_.counts()) {
    if (!options_.tenants.contains(room.tenant)) continue;
    const std::uint32_t least = live(room);
    if (count < least || count > least + perhaps(room)) {
      throw Disagreement(text(room) + " has " + std::to_string(count) + " sessions, the model's " +
                         std::to_string(least) + " and perhaps " + std::to_string(perhaps(room)) +
                         " more");
    }
    if (count > limit_of(room)) throw Disagreement(text(room) + " is beyond its limit");
    if (count != least) continue;
    for (auto expired = expired_.begin(); expired != expired_.end();) {
      const auto one = expired++;
      if (room_of(one->session) != room) continue;
      forget(one, now);
    }
  }
  check_port_counts();
  check_blocks();
}

void Model::check_port_counts() {
  for (const auto& [tenant, count] : witness_.ports()) {
    if (!options_.tenants.contains(tenant)) continue;
    const auto [surely, at_most] = ports_of(tenant);
    if (count >= surely && count <= at_most) continue;
    throw Disagreement("namespace " + std::to_string(tenant) + " has " + std::to_string(count) +
                       " ports, the model's " + std::to_string(surely) + " to " +
                       std::to_string(at_most));
  }
}

// Each packet counts for the session that it belongs to, and for the session's namespace.
void Model::count_traffic(ModelSession& session, const Message& message, Side from) {
  for (TwoWayTraffic* const sum : {&session.traffic, &traffic_[session.tenant]}) {
    (from == Side::internal ? sum->outbound : sum->inbound) += {1, message.length};
  }
}

void Model::check_traffic(bool is_at_rest) {
  const auto exceeds = [](const Traffic& one, const Traffic& other) {
    return one.packets > other.packets || one.bytes > other.bytes;
  };
  for (const auto& [tenant, is] : witness_.traffic()) {
    if (!options_.tenants.contains(tenant)) continue;
    const TwoWayTraffic& wanted = traffic_[tenant];
    const bool agrees =
        is_at_rest ? is == wanted
                   : !exceeds(is.outbound, wanted.outbound) && !exceeds(is.inbound, wanted.inbound);
    if (agrees) continue;
    throw Disagreement("namespace " + std::to_string(tenant) + ": " + text(is) + "; the model's " +
                       text(wanted));
  }
}

void Model::swept(Time now) {
  travel(now);
  for (auto expired = expired_.begin(); expired != expired_.end();) {
    const auto one = expired++;
    if (now < one->since + sweep_delay || now < slow_until_) continue;
    forget(one, now);
  }
  check_counts(now);
  check_rested_blocks();
}

void Model::check_sessions(Time now) {
  travel(now);
  std::map<std::string, Detail> wanted;
  for (const ModelSession& one : sessions_) {
    const Time idle = now - one.last_active;
    wanted[name_of(one)] = {std::string(one.state()), std::min(now - one.made, session_age_max),
                            idle, timeout_of(one) - idle, one.traffic};
  }
  for (const SessionView& view : witness_.sessions()) {
    if (!options_.tenants.contains(view.namespace_id)) continue;
    const Detail is{std::string(view.state), view.age, view.idle, view.expires_in, view.traffic};
    const auto found = wanted.find(name_of(view));
    if (found == wanted.end()) throw Disagreement("nobody has session " + text(name_of(view), is));
    if (found->second != is) {
      throw Disagreement("session " + text(found->first, is) + "; the model's " +
                         text(found->first, found->second));
    }
    wanted.erase(found);
  }
  if (!wanted.empty()) {
    const auto& [name, detail] = *wanted.begin();
    throw Disagreement("lost: " + text(name, detail));
  }
}

}  // namespace swnat::property
