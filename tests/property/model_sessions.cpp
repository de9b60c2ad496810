// How sessions come to be: who may open one, and what becomes of a namespace at its limit.
#include <algorithm>

#include "tests/property/model.h"

namespace swnat::property {
namespace {

// RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.
bool is_host(const IpAddress& address) {
  if (const auto* v4 = std::get_if<Ipv4Address>(&address)) {
    const std::uint32_t first = v4->host() >> 24;
    return first != 0 && first != 127 && first < 224;
  }
  const auto octets = std::get<Ipv6Address>(address).octets();
  const bool begins_with_zeros =
      std::all_of(octets.begin(), octets.end() - 1, [](std::uint8_t octet) { return octet == 0; });
  return octets[0] != 0xff && !(begins_with_zeros && octets[15] <= 1);
}

}  // namespace

// What no session can be made of, whatever the policy says.
void Model::refuse(const Message& message) const {
  if (!is_host(message.ends.source.address) || !is_host(message.ends.destination.address)) {
    throw Dropped{{"invalid_address"}};
  }
  if (message.kind != Kind::tcp && message.kind != Kind::udp) return;
  if (message.ends.source.port == 0 || message.ends.destination.port == 0) {
    throw Dropped{{"invalid_port"}};
  }
  constexpr int all = flag::syn | flag::ack | flag::rst | flag::fin;
  if (message.kind == Kind::tcp && (message.segment.fields.flags & all) != flag::syn) {
    throw Dropped{{"tcp_not_syn"}};
  }
}

ModelSession& Model::add(ModelSession session, const Message& message, Side from) {
  if (session.protocol == ip::tcp) session.tcp = TcpModel(message.segment, from);
  // An expired one that was the same is gone: the engine frees what it finds expired.
  std::erase_if(expired_,
                [&](const Expired& one) { return name_of(one.session) == name_of(session); });
  ++made_[session.tenant];
  sessions_.push_back(std::move(session));
  return sessions_.back();
}

ModelSession& Model::establish_out(NamespaceId tenant, const Message& message) {
  refuse(message);
  ModelSession session;
  session.tenant = tenant;
  session.protocol = message.protocol;
  session.internal = message.ends.source;
  session.inside_remote = message.ends.destination;
  session.outside_remote = redirected(tenant, message.protocol, message.ends.destination);
  session.last_active = now_;
  make_room(session);
  if (const ForwardRule* rule = forward_from(tenant, message.protocol, session.internal)) {
    session.external = rule->external;
    session.forwarded = true;
  } else {
    const ModelSession* mapping = find_mapping(tenant, message.protocol, session.internal);
    const bool shared = policy_.mapping == Mapping::endpoint_independent && mapping != nullptr &&
                        message.kind != Kind::other;
    session.external = shared ? mapping->external : chosen_external(session);
  }
  check_room(session);
  return add(std::move(session), message, Side::internal);
}

// Filtering (RFC 4787 section 5): the session because of which this remote may send.
const ModelSession* Model::permitting(const Message& message) const {
  for (const ModelSession& one : sessions_) {
    if (one.protocol != message.protocol || one.external != message.ends.destination) continue;
    switch (policy_.filtering) {
      case Filtering::endpoint_independent:
        return &one;
      case Filtering::address_dependent:
        if (one.outside_remote.address == message.ends.source.address) return &one;
        break;
      case Filtering::address_and_port_dependent:
        break;  // whoever may send has a session already
    }
  }
  return nullptr;
}

ModelSession& Model::establish_in(const Message& message) {
  const ForwardRule* rule = forward_to(message.protocol, message.ends.destination);
  std::vector<Time> last_active;  // of the mapping's sessions
  for (const ModelSession& one : sessions_) {
    if (one.protocol != message.protocol || one.external != message.ends.destination) continue;
    last_active.push_back(one.last_active);
  }
  const ModelSession* known = nullptr;
  if (rule == nullptr) {
    if (last_active.empty()) throw Dropped{{"no_mapping"}};
    const bool own_remote_only = policy_.mapping == Mapping::address_and_port_dependent;
    if (own_remote_only || message.kind == Kind::other) throw Dropped{{"filtered", "no_mapping"}};
    // Only queries make ICMP sessions: another remote's reply is never let in.
    if (message.protocol != ip::icmp) known = permitting(message);
    if (known == nullptr) throw Dropped{{"filtered"}};
  }
  refuse(message);
  ModelSession session;
  session.tenant = rule != nullptr ? rule->namespace_id : known->tenant;
  session.protocol = message.protocol;
  session.internal = rule != nullptr ? rule->to : known->internal;
  session.external = message.ends.destination;
  session.inside_remote = session.outside_remote = message.ends.source;
  session.last_active = now_;
  session.forwarded = rule != nullptr || known->forwarded;
  const NamespacePolicy* own = policy_of(session.tenant);
  if (own == nullptr) throw Dropped{{"unknown_namespace"}};
  // The outside must not be able to end a tenant's sessions: it never evicts. Expired sessions that
  // the engine has not seen yet may count.
  const bool is_full = live(session.tenant) >= own->session_limit;
  const bool seems_full =
      counted(session.tenant) >= own->session_limit && seen_->reason == "session_limit";
  if (is_full || seems_full) throw Dropped{{"session_limit"}};
  check_room(session);
  ModelSession& added = add(std::move(session), message, Side::remote);
  // Ever new remotes must not keep a mapping alive where anybody may send to it (RFC 7857 section
  // 7): the new session is as old as one of the mapping's.
  if (policy_.filtering == Filtering::endpoint_independent && added.protocol != ip::tcp) {
    if (rule != nullptr) last_active.push_back(now_);
    for (const SessionView& view : witness_.sessions()) {
      if (name_of(view) == name_of(added)) added.last_active = now_ - view.idle;
    }
    if (std::ranges::find(last_active, added.last_active) == last_active.end()) {
      throw Disagreement("an inbound packet made a session that is as old as none of its mapping");
    }
  }
  return added;
}

// The namespace's least recently active session ends for a new one, or the new one is refused.
void Model::make_room(const ModelSession& session) {
  const NamespaceId tenant = session.tenant;
  const std::uint32_t limit = policy_of(tenant)->session_limit;
  const bool is_full = live(tenant) >= limit;
  const bool seems_full = is_full || counted(tenant) >= limit;
  if (!seems_full) return;
  if (policy_.at_limit == AtLimit::refuse) {
    const bool was_refused = seen_->reason == "session_limit" && !was_made(session);
    if (is_full || was_refused) throw Dropped{{"session_limit"}};
    return;
  }
  const std::set<std::string> there = shown();
  auto oldest = sessions_.end();
  std::vector<Sessions::iterator> victims;
  for (auto one = sessions_.begin(); one != sessions_.end(); ++one) {
    if (one->tenant != tenant) continue;
    if (oldest == sessions_.end() || one->last_active < oldest->last_active) oldest = one;
    if (!there.contains(name_of(*one))) victims.push_back(one);
  }
  if (victims.size() > 1) throw Disagreement("more than one session ended for a new one");
  if (victims.empty()) {
    if (is_full) throw Disagreement("no session ended at the limit");
    return;  // one that had expired made room
  }
  if (victims[0]->last_active != oldest->last_active) {
    throw Disagreement("evicted: " + name_of(*victims[0]) +
                       ", least recently active: " + name_of(*oldest));
  }
  end(victims[0], now_, now_);
  --made_[tenant];
}

// What the engine counts of the namespace at this point.
std::int64_t Model::counted(NamespaceId tenant) const {
  const auto before = seen_->counts_before.find(tenant);
  const auto made = made_.find(tenant);
  return (before == seen_->counts_before.end() ? 0 : std::int64_t{before->second}) +
         (made == made_.end() ? 0 : made->second);
}

// Whether the engine made it, though it may have dropped the packet later, at the second half of a
// hairpin.
bool Model::was_made(const ModelSession& session) const {
  const auto views = witness_.sessions();
  return std::ranges::any_of(views, [&](const SessionView& view) {
    return view.namespace_id == session.tenant && view.protocol == session.protocol &&
           view.internal == session.internal && view.remote == session.outside_remote;
  });
}

// The table is shared out over the shards, so one may be full before all are.
void Model::check_room(const ModelSession& session) const {
  std::int64_t there = 0;
  for (const auto& [tenant, count] : seen_->counts_before) there += count;
  for (const auto& [tenant, count] : made_) there += count;
  const std::uint32_t share = (options_.max_sessions - 1) / options_.shards + 1;
  const bool may_be_full = there >= share && seen_->reason == "table_full" && !was_made(session);
  if (may_be_full || sessions_.size() >= share * options_.shards) throw Dropped{{"table_full"}};
}

}  // namespace swnat::property
