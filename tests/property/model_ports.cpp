// Whether the engine chose an external endpoint that it may choose.
#include <algorithm>
#include <array>

#include "tests/property/model.h"

namespace swnat::property {
namespace {

// RFC 4787 REQ-3: ports 0 to 1023 and the others are handed out apart, if the range has both.
bool is_other_class(const ModelSession& session, std::uint16_t port, const PortRanges& ports) {
  constexpr std::uint16_t second = 1024;
  if (session.protocol == ip::icmp) return false;
  const bool wants_low = session.internal.port < second;
  const bool has_wanted = std::ranges::any_of(ports.ranges(), [&](const PortRange& range) {
    return wants_low ? range.first < second : range.last >= second;
  });
  return has_wanted && (port < second) != wants_low;
}

}  // namespace

std::vector<IpAddress> Model::addresses_of(NamespaceId tenant, bool v6) const {
  const AddressLists& own = policy_of(tenant)->external;
  std::vector<IpAddress> addresses;
  if (v6) {
    const auto& list = own.v6.empty() ? policy_.external.v6 : own.v6;
    addresses.assign(list.begin(), list.end());
  } else {
    const auto& list = own.v4.empty() ? policy_.external.v4 : own.v4;
    addresses.assign(list.begin(), list.end());
  }
  return addresses;
}

// How good a port is for the session, 0 being best; -1 for one that it must not have. The shard is
// named by a port's bits from bit 1 up.
int Model::rank_of(const ModelSession& session, std::uint16_t port) const {
  const std::uint16_t internal = session.internal.port;
  if (!policy_.ports.contains(port)) return -1;
  const bool per_remote = policy_.mapping == Mapping::address_and_port_dependent;
  if (port == internal && !per_remote) return 0;
  const bool own_shard = ((port ^ internal) >> 1 & (options_.shards - 1)) == 0;
  const int parity = port % 2 == internal % 2 ? 0 : 1;
  if (per_remote) return own_shard ? parity : -1;
  if (is_other_class(session, port, policy_.ports)) return -1;
  return (own_shard ? 1 : 3) + parity;
}

// By parity, whether the engine surely finds a port that is free for the session's remote: it tries
// no more than some.
std::array<bool, 2> Model::sees_all(const ModelSession& session) const {
  if (policy_.mapping != Mapping::address_and_port_dependent) return {true, true};
  constexpr std::uint32_t tried = 32;
  std::array<std::uint32_t, 2> counts{};
  find_port([&](std::uint16_t port) {
    if (rank_of(session, port) >= 0) ++counts[port % 2];
    return false;
  });
  return {counts[0] <= tried, counts[1] <= tried};
}

// Whether the session has the external endpoint in such a way that another cannot have it.
bool Model::collides(const ModelSession& one, const ModelSession& with,
                     const IpEndpoint& external) const {
  if (one.protocol != with.protocol || one.external != external) return false;
  const bool per_remote = policy_.mapping == Mapping::address_and_port_dependent;
  return !per_remote || (one.outside_remote == with.outside_remote && one.realm == with.realm);
}

PortState Model::port_state(const ModelSession& session, const IpEndpoint& external) const {
  const auto is_taken = [&](const ModelSession& one) { return collides(one, session, external); };
  if (std::ranges::any_of(sessions_, is_taken)) return PortState::taken;
  if (forward_to(session.protocol, external) != nullptr) return PortState::taken;
  PortState state = options_.owns_ports ? PortState::free : PortState::perhaps;
  // Ports that are used for several remotes do not rest, and what has expired gives way.
  if (policy_.mapping == Mapping::address_and_port_dependent) return state;
  state = std::max(state, expired_state(session, external));
  return std::max(state, ledger_.state_of(session.protocol, external, now_));
}

PortState Model::expired_state(const ModelSession& session, const IpEndpoint& external) const {
  PortState state = PortState::free;
  for (const ExpiredSession& one : expired_) {
    if (!collides(one.session, session, external)) continue;
    if (!one.surely_rests) return PortState::perhaps;
    state = now_ < one.since + PortLedger::rest ? PortState::not_free : PortState::perhaps;
  }
  return state;
}

// Which external one an internal address has is not known before it was seen.
std::vector<IpAddress> Model::possible_addresses(const ModelSession& session) const {
  const IpAddress& internal = session.internal.address;
  const auto known = paired_.find({session.tenant, text(internal)});
  if (known != paired_.end()) return {known->second};
  return addresses_of(session.tenant, is_v6(internal));
}

IpEndpoint Model::chosen_external(const ModelSession& session) {
  if (has_ports(session.protocol)) check_port_limit(session);
  if (seen_->reason == "table_full" && !was_made(session)) return {};  // check_shard() judges that
  if (has_ports(session.protocol) && seen_->reason == "no_free_port") {
    check_exhausted(session);
    throw Dropped{{"no_free_port"}};
  }
  if (!has_ports(session.protocol) && seen_->reason == "remote_in_use") {
    for (const IpAddress& address : possible_addresses(session)) {
      ModelSession like = session;
      like.external = {address, 0};
      if (find_outside(like) != sessions_.end()) return like.external;
    }
  }
  const IpEndpoint external = observed_external(session);
  check_address(session, external);
  if (has_ports(session.protocol)) {
    check_port(session, external);
    ledger_.taken(session.protocol, external);
  }
  return external;
}

// RFC 6888 REQ-4. Nothing is evicted for a port, and those that only rest count to nobody.
void Model::check_port_limit(const ModelSession& session) const {
  const std::uint32_t limit = policy_of(session.tenant)->port_limit;
  const auto [surely, at_most] = ports_of(session.tenant);
  const bool is_full = limit != 0 && surely >= limit;
  const bool is_refused = seen_->reason == "port_limit";
  if (is_refused && (limit == 0 || at_most < limit)) {
    throw Disagreement("port_limit, though the namespace has no more than " +
                       std::to_string(at_most) + " ports of " + std::to_string(limit));
  }
  // Who is at the session limit too may be given one by the session that ends, if there are any.
  const bool lacks_both =
      seen_->reason == "no_free_port" && counted(room_of(session)) >= limit_of(room_of(session));
  if ((is_full && !lacks_both) || is_refused) throw Dropped{{"port_limit"}};
}

// The ports that a namespace surely has, and with those that its expired sessions may still hold.
Model::PortCount Model::ports_of(NamespaceId tenant) const {
  const bool per_remote = policy_.mapping == Mapping::address_and_port_dependent;
  std::set<std::string> ports;
  const auto count = [&](const ModelSession& one) {
    if (one.tenant != tenant || !has_ports(one.protocol) || one.forwarded) return;
    ports.insert(per_remote ? name_of(one)
                            : std::to_string(one.protocol) + " " + text(one.external));
  };
  for (const ModelSession& one : sessions_) count(one);
  const auto surely = static_cast<std::uint32_t>(ports.size());
  for (const ExpiredSession& one : expired_) count(one.session);
  return {surely, static_cast<std::uint32_t>(ports.size())};
}

// What the engine chose, from the packet that it sent or, if it was dropped at its second half,
// from the sessions.
IpEndpoint Model::observed_external(const ModelSession& session) const {
  if (seen_->reason.starts_with("translated")) return read(seen_->bytes).ends.source;
  for (const SessionView& view : witness_.sessions()) {
    ModelSession like = session;
    like.external = view.external;
    // Two destinations may be redirected to one.
    const bool is_new = std::ranges::none_of(
        sessions_, [&](const ModelSession& one) { return name_of(one) == name_of(like); });
    if (is_new && name_of(view) == name_of(like)) return view.external;
  }
  throw Dropped{{"translated_outbound"}};
}

// RFC 4787 REQ-2: an internal address keeps its external one.
void Model::check_address(const ModelSession& session, const IpEndpoint& external) {
  const IpAddress& internal = session.internal.address;
  const auto allowed = addresses_of(session.tenant, is_v6(internal));
  if (std::ranges::find(allowed, external.address) == allowed.end()) {
    throw Disagreement(text(external) + " is not an external address of the namespace");
  }
  const auto [known, added] =
      paired_.try_emplace({session.tenant, text(internal)}, external.address);
  if (!added && known->second != external.address) {
    throw Disagreement(text(internal) + " has two external addresses: " + text(known->second) +
                       " and " + text(external.address));
  }
}

void Model::check_port(const ModelSession& session, const IpEndpoint& external) const {
  const int rank = rank_of(session, external.port);
  if (rank < 0) {
    throw Disagreement("port " + std::to_string(external.port) + " must not be had by " +
                       std::to_string(session.internal.port));
  }
  const PortState state = port_state(session, external);
  if (state == PortState::taken) throw Disagreement(text(external) + " is taken");
  if (has_blocks()) return check_port_in_blocks(session, external);
  // One that rests is handed out only where none is free, and then the one that rested longest.
  const bool rests = state == PortState::resting || state == PortState::not_free;
  if (rank == 0 && !rests) return;
  const auto sees_all = this->sees_all(session);
  const auto better = find_port([&](std::uint16_t other) {
    const int other_rank = rank_of(session, other);
    return sees_all[other % 2] && other_rank >= 0 && (rests || other_rank < rank) &&
           port_state(session, {external.address, other}) == PortState::free;
  });
  if (better) {
    throw Disagreement("port " + std::to_string(external.port) + " for " +
                       std::to_string(session.internal.port) + (rests ? ", which rests" : "") +
                       ", though " + std::to_string(*better) + " was free");
  }
  if (state == PortState::resting) check_longest_rest(session, external);
}

void Model::check_longest_rest(const ModelSession& session, const IpEndpoint& external) const {
  const auto began = ledger_.rest_of(session.protocol, external, now_);
  const auto longer = find_port([&](std::uint16_t other) {
    const IpEndpoint end{external.address, other};
    if (rank_of(session, other) < 0 || port_state(session, end) != PortState::resting) return false;
    const auto others = ledger_.rest_of(session.protocol, end, now_);
    return began && others && others->latest < began->earliest;
  });
  if (!longer) return;
  throw Disagreement(text(external) + " rests, but " + std::to_string(*longer) + " rests longer");
}

// The first of the policy's ports that is wanted.
std::optional<std::uint16_t> Model::find_port(
    const std::function<bool(std::uint16_t)>& wanted) const {
  for (const PortRange& range : policy_.ports.ranges()) {
    for (std::uint32_t port = range.first; port <= range.last; ++port) {
      if (wanted(static_cast<std::uint16_t>(port))) return static_cast<std::uint16_t>(port);
    }
  }
  return {};
}

void Model::check_exhausted(const ModelSession& session) const {
  const auto sees_all = this->sees_all(session);
  const auto has_free = [&](const IpAddress& address) {
    if (has_blocks()) return has_room_in_blocks(session, address);
    return find_port([&](std::uint16_t port) {
             return sees_all[port % 2] && rank_of(session, port) >= 0 &&
                    port_state(session, {address, port}) <= PortState::resting;
           })
        .has_value();
  };
  const auto addresses = possible_addresses(session);
  if (std::ranges::all_of(addresses, has_free)) {
    throw Disagreement("no_free_port, though there was one");
  }
}

}  // namespace swnat::property
