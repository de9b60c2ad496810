// How sessions come to be: who may open one, and what becomes of a namespace at its limit.
#include <algorithm>
#include <cmath>

#include "tests/property/model.h"

namespace swnat::property {
namespace {

// RFC 1122 section 3.2.1.3; RFC 4291 sections 2.5.2, 2.5.3, 2.5.6 and 2.7.
bool is_host(const IpAddress& address) {
  if (const auto* v4 = std::get_if<Ipv4Address>(&address)) {
    const std::uint32_t first = v4->host() >> 24;
    return first != 0 && first != 127 && first < 224;
  }
  const auto octets = std::get<Ipv6Address>(address).octets();
  const bool begins_with_zeros =
      std::all_of(octets.begin(), octets.end() - 1, [](std::uint8_t octet) { return octet == 0; });
  const bool is_link_local = octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80;
  return octets[0] != 0xff && !is_link_local && !(begins_with_zeros && octets[15] <= 1);
}

}  // namespace

// What no session can be made of, whatever the policy says.
void Model::refuse_addresses(const Message& message) const {
  if (!is_host(message.ends.source.address) || !is_host(message.ends.destination.address)) {
    throw Dropped{{"invalid_address"}};
  }
}

void Model::refuse(const Message& message) const {
  refuse_addresses(message);
  if (message.kind != Kind::tcp && message.kind != Kind::udp) return;
  if (message.ends.source.port == 0 || message.ends.destination.port == 0) {
    throw Dropped{{"invalid_port"}};
  }
  constexpr int all = flag::syn | flag::ack | flag::rst | flag::fin;
  if (message.kind == Kind::tcp && (message.segment.fields.flags & all) != flag::syn) {
    throw Dropped{{"tcp_not_syn"}};
  }
}

Sessions::iterator Model::add(ModelSession session, const Message& message, Side from) {
  if (session.protocol == ip::tcp) session.tcp = TcpModel(message.segment, from);
  // An expired one that was the same is gone: the engine frees what it finds expired.
  std::erase_if(expired_, [&](const ExpiredSession& one) {
    return name_of(one.session) == name_of(session);
  });
  ++made_[room_of(session)];
  events_.made(session);
  return sessions_.insert(sessions_.end(), std::move(session));
}

// The session that has the same outside.
Sessions::iterator Model::find_outside(const ModelSession& like) {
  return std::ranges::find_if(sessions_, [&](const ModelSession& one) {
    return one.protocol == like.protocol && one.external == like.external &&
           one.outside_remote == like.outside_remote && one.realm == like.realm;
  });
}

Sessions::iterator Model::establish_out(NamespaceId tenant, const Message& message) {
  refuse(message);
  ModelSession session;
  session.tenant = tenant;
  session.protocol = message.protocol;
  session.internal = message.ends.source;
  session.inside_remote = message.ends.destination;
  session.outside_remote = redirected(tenant, message.protocol, message.ends.destination);
  session.realm = realm_of(tenant, session.inside_remote, session.outside_remote);
  session.made = now_;
  session.last_active = now_;
  if (addresses_of(tenant, is_v6(session.internal.address)).empty()) {
    throw Dropped{{"no_external_address"}};
  }
  make_room(session, policy_.at_limit == AtLimit::refuse);
  const ForwardRule* rule = forward_from(tenant, session.protocol, session.internal);
  const ModelSession* mapping = find_mapping(tenant, session.protocol, session.internal);
  const bool shares =
      policy_.mapping == Mapping::endpoint_independent && has_ports(session.protocol);
  if (rule != nullptr) {
    session.external = rule->external;
    session.forwarded = true;
  } else if (shares && mapping != nullptr) {
    session.external = mapping->external;
  } else {
    session.external = chosen_external(session);
  }
  // Two hosts may use one protocol without ports, or two destinations be redirected to one.
  if (find_outside(session) != sessions_.end()) throw Dropped{{"remote_in_use"}};
  check_shard(session);
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

Sessions::iterator Model::establish_in(const Message& message) {
  const bool shares =
      policy_.mapping == Mapping::endpoint_independent && has_ports(message.protocol);
  std::vector<Time> ages;  // of the mapping's sessions
  for (const ModelSession& one : sessions_) {
    if (one.protocol != message.protocol || one.external != message.ends.destination) continue;
    if (shares) ages.push_back(one.last_active);
  }
  const ForwardRule* rule = forward_to(message.protocol, message.ends.destination);
  const ModelSession* known = nullptr;
  if (rule == nullptr) {
    if (ages.empty()) throw Dropped{{"no_mapping"}};
    // RFC 4787 REQ-6: connections that remotes began and did not prove to be there for, or that are
    // over, keep no mapping for further ones.
    const bool anybody = policy_.filtering == Filtering::endpoint_independent;
    const auto keeps = [&](const ModelSession& one) {
      return one.protocol == ip::tcp && one.external == message.ends.destination &&
             (!one.from_outside || (!one.is_over() && !one.tcp.is_asked_by_remote()));
    };
    if (anybody && message.protocol == ip::tcp && std::ranges::none_of(sessions_, keeps)) {
      throw Dropped{{"no_mapping"}};
    }
    // Only queries make ICMP sessions: another remote's reply is never let in.
    if (message.protocol != ip::icmp) known = permitting(message);
    if (known == nullptr) throw Dropped{{"filtered"}};
  }
  try {
    refuse(message);
  } catch (const Dropped& dropped) {
    if (dropped.reasons.contains("tcp_not_syn")) throw Dropped{{"foreign_segment"}};
    throw;
  }
  ModelSession session;
  session.tenant = rule != nullptr ? rule->namespace_id : known->tenant;
  session.protocol = message.protocol;
  session.internal = rule != nullptr ? rule->to : known->internal;
  session.external = message.ends.destination;
  session.inside_remote = session.outside_remote = message.ends.source;
  session.made = now_;
  session.last_active = now_;
  session.forwarded = rule != nullptr;
  session.from_outside = true;
  if (policy_of(session.tenant) == nullptr) throw Dropped{{"no_mapping"}};
  // Whom it seems to come from may be one whose packets are redirected: then answers would go
  // elsewhere.
  if (find_inside(session.tenant, session.protocol, session.internal, session.inside_remote)) {
    throw Dropped{{"answer_in_use"}};
  }
  // Where only what comes in so counts, one that is over may end for it.
  if (room_of(session) == Room{session.tenant, ""}) {
    check_inbound_room(session);
  } else {
    make_room(session, true);
  }
  check_shard(session);
  const auto added = add(std::move(session), message, Side::remote);
  // Ever new remotes must not keep a mapping alive where anybody may send to it (RFC 7857 section
  // 7): the new session is as old as one of the mapping's, if there is one.
  if (policy_.filtering == Filtering::endpoint_independent && added->protocol != ip::tcp) {
    if (ages.empty()) ages.push_back(now_);
    check_age(*added, ages);
  }
  return added;
}

void Model::check_age(ModelSession& session, std::vector<Time> allowed) {
  for (const SessionView& view : witness_.sessions()) {
    if (name_of(view) == name_of(session)) session.last_active = now_ - view.idle;
  }
  if (std::ranges::find(allowed, session.last_active) == allowed.end()) {
    throw Disagreement("an inbound packet made a session that is as old as none of its mapping");
  }
}

// What the engine counts there at this point.
std::int64_t Model::counted(const Room& room) const {
  const auto before = seen_->counts_before.find(room);
  const auto made = made_.find(room);
  return (before == seen_->counts_before.end() ? 0 : std::int64_t{before->second}) +
         (made == made_.end() ? 0 : made->second);
}

// The outside must not be able to end a tenant's sessions: it never evicts. Expired sessions that
// the engine has not seen yet may count.
void Model::check_inbound_room(const ModelSession& session) const {
  const std::uint32_t limit = policy_of(session.tenant)->session_limit;
  const Room room = room_of(session);
  const bool seems_full = counted(room) >= limit && seen_->reason == "session_limit";
  if (live(room) >= limit || seems_full) throw Dropped{{"session_limit"}};
  check_table(session);
}

// Which of two has to go first; neither if they are equal.
bool goes_before(const ModelSession& a, const ModelSession& b) {
  return a.rank() != b.rank() ? a.rank() < b.rank() : a.last_active < b.last_active;
}

// The only session of the mapping that the new one is to join.
Sessions::iterator Model::last_of_mapping(const ModelSession& session) {
  auto found = sessions_.end();
  if (!has_ports(session.protocol) || policy_.mapping == Mapping::address_and_port_dependent) {
    return found;
  }
  for (auto one = sessions_.begin(); one != sessions_.end(); ++one) {
    if (one->tenant != session.tenant || one->protocol != session.protocol ||
        one->internal != session.internal || one->forwarded) {
      continue;
    }
    if (found != sessions_.end()) return sessions_.end();
    found = one;
  }
  return found;
}

// Refused, because that session would end, and the new one then find no port for another mapping.
void Model::check_lost_mapping(const ModelSession& session, const ModelSession& last) const {
  if (seen_->reason == "port_limit") {
    const std::uint32_t limit = policy_of(session.tenant)->port_limit;
    if (limit == 0 || ports_of(session.tenant).at_most <= limit) {
      throw Disagreement("port_limit, though the session that ends gives a port back");
    }
    return;
  }
  check_exhausted(session);
  const auto gives = [&](const IpAddress& address) {
    return address == last.external.address && rank_of(session, last.external.port) >= 0;
  };
  if (std::ranges::all_of(possible_addresses(session), gives)) {
    throw Disagreement("no_free_port, though the session that ends has one");
  }
}

// The session that has to go first, of those that count where it does, ends for a new one, or the
// new one is refused.
void Model::make_room(const ModelSession& session, bool only_over) {
  const Room room = room_of(session);
  const std::uint32_t limit = limit_of(room);
  const bool is_full = live(room) >= limit;
  if (!is_full && counted(room) < limit) {
    check_table(session);
    return;
  }
  const std::set<std::string> there = shown();
  auto first = sessions_.end();
  std::vector<Sessions::iterator> victims;
  for (auto one = sessions_.begin(); one != sessions_.end(); ++one) {
    if (room_of(*one) != room) continue;
    if (!there.contains(name_of(*one))) victims.push_back(one);
    if (only_over && !one->is_over()) continue;
    if (first == sessions_.end() || goes_before(*one, *first)) first = one;
  }
  // Nothing ends for what finds no external endpoint.
  constexpr std::string_view finds_none[] = {"port_limit", "no_free_port", "remote_in_use"};
  if (std::ranges::find(finds_none, seen_->reason) != std::end(finds_none)) {
    if (only_over && first == sessions_.end() && is_full) throw Dropped{{"session_limit"}};
    const auto last = last_of_mapping(session);
    if (last != sessions_.end() && first != sessions_.end() && room_of(*last) == room &&
        !goes_before(*first, *last) && seen_->reason != "remote_in_use") {
      check_lost_mapping(session, *last);
      throw Dropped{{seen_->reason}};
    }
    return;
  }
  if (only_over) {
    const bool was_refused = seen_->reason == "session_limit" && !was_made(session);
    if (first == sessions_.end() && (is_full || was_refused)) throw Dropped{{"session_limit"}};
    if (was_refused) throw Disagreement("refused, though a session is over");
  }
  if (victims.empty() && is_full) {
    // Two sessions that are redirected to one remote look alike: the one that ended and the new
    // one.
    for (auto one = sessions_.begin(); one != sessions_.end(); ++one) {
      ModelSession like = session;
      like.external = one->external;
      if (room_of(*one) == room && name_of(*one) == name_of(like)) victims.push_back(one);
    }
  }
  if (victims.size() > 1) throw Disagreement("more than one session ended for a new one");
  if (victims.empty()) {
    if (is_full) throw Disagreement("no session ended at the limit");
    doubt_ports(room.tenant);  // one that had expired made room
  } else if (first == sessions_.end() || goes_before(*first, *victims[0])) {
    throw Disagreement("evicted: " + name_of(*victims[0]) + ", before " +
                       (first == sessions_.end() ? "none" : name_of(*first)));
  } else {
    end(victims[0], EndCause::evicted, now_);
    --made_[room];
  }
  check_table(session);
}

// Whether the engine made it, though it may have dropped the packet later, at the second half of a
// hairpin.
bool Model::was_made(const ModelSession& session) const {
  const auto views = witness_.sessions();
  return std::ranges::any_of(views, [&](const SessionView& view) {
    ModelSession like = session;
    like.external = view.external;
    // One that is redirected to the same remote looks alike, and was there before.
    const bool was_there = std::ranges::any_of(
        sessions_, [&](const ModelSession& one) { return name_of(one) == name_of(like); });
    return name_of(view) == name_of(like) && !was_there;
  });
}

void Model::check_table(const ModelSession& session) const {
  std::int64_t there = 0;
  for (const auto& [room, count] : seen_->counts_before) there += count;
  for (const auto& [room, count] : made_) there += count;
  const bool is_full = sessions_.size() >= options_.max_sessions;
  const bool seems_full = there >= options_.max_sessions && seen_->reason == "table_full";
  if (is_full || (seems_full && !was_made(session))) throw Dropped{{"table_full"}};
}

// The records are shared out over the shards, so one's may be used up before all are.
void Model::check_shard(const ModelSession& session) const {
  std::int64_t there = 0;
  for (const auto& [room, count] : seen_->counts_before) there += count;
  for (const auto& [room, count] : made_) there += count;
  const std::uint32_t part = (options_.max_sessions - 1) / options_.shards + 1;
  const auto more = static_cast<std::uint32_t>(6 * std::sqrt(part)) + 16;
  if (there >= part + more && seen_->reason == "table_full" && !was_made(session)) {
    throw Dropped{{"table_full"}};
  }
}

}  // namespace swnat::property
