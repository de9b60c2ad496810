// Whether the engine chose an external endpoint that it may choose.
#include <algorithm>

#include "tests/property/model.h"

namespace swnat::property {
namespace {

bool has_ports(std::uint8_t protocol) {
  return protocol == ip::tcp || protocol == ip::udp || protocol == ip::icmp;
}

// How well a port goes with the internal one: by parity (RFC 4787 REQ-4) and by class (REQ-3).
int likeness(std::uint8_t protocol, std::uint16_t port, std::uint16_t internal) {
  const bool same_parity = port % 2 == internal % 2;
  const bool has_class = engine_supports.port_class && protocol != ip::icmp;
  const bool same_class = !has_class || (port < 1024) == (internal < 1024);
  return int{same_parity} + int{same_class};
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

// All that a session with this internal port may get. Without borrowing these are the ports of the
// shard that the internal port names, by its bits from bit 1 up.
std::vector<std::uint16_t> Model::ports_for(std::uint8_t protocol, std::uint16_t internal) const {
  if (!has_ports(protocol)) return {0};
  std::vector<std::uint16_t> ports;
  for (std::uint32_t port = policy_.ports.first; port <= policy_.ports.last; ++port) {
    const bool same_shard = ((port ^ internal) >> 1 & (options_.shards - 1)) == 0;
    if (same_shard || engine_supports.borrowing) ports.push_back(static_cast<std::uint16_t>(port));
  }
  return ports;
}

PortState Model::port_state(std::uint8_t protocol, const IpEndpoint& external,
                            const IpEndpoint& remote) const {
  const bool per_remote =
      policy_.mapping == Mapping::address_and_port_dependent || !has_ports(protocol);
  const auto collides = [&](const ModelSession& one) {
    return one.protocol == protocol && one.external == external &&
           (!per_remote || one.outside_remote == remote);
  };
  if (std::ranges::any_of(sessions_, collides)) return PortState::taken;
  if (forward_to(protocol, external) != nullptr) return PortState::taken;
  PortState state = options_.owns_ports ? PortState::free : PortState::perhaps;
  for (const Expired& one : expired_) {
    if (!collides(one.session)) continue;
    const bool ended = one.session.protocol == ip::tcp && one.session.tcp.was_seen_to_end();
    if (!ended && has_ports(protocol) && now_ < one.since + policy_.port_rest) {
      return PortState::taken;
    }
    state = PortState::perhaps;
  }
  if (!has_ports(protocol)) return state;
  const PortState rest = ledger_.rest_of(protocol, external, remote, per_remote, now_);
  return std::max(state, rest);
}

IpEndpoint Model::chosen_external(const ModelSession& session) {
  const IpEndpoint& internal = session.internal;
  if (seen_->reason == "table_full" && !was_made(session)) return {};  // check_room() judges that
  if (addresses_of(session.tenant, is_v6(internal.address)).empty()) {
    throw Dropped{{"no_free_port"}};
  }
  if (seen_->reason == "no_free_port") {
    check_exhausted(session);
    throw Dropped{{"no_free_port"}};
  }
  const IpEndpoint external = observed_external(session);
  check_address(session.tenant, internal, external);
  check_port(session.protocol, internal.port, external, session.outside_remote);
  return external;
}

// What the engine chose, from the packet that it sent or, if it was dropped at its second half,
// from the sessions.
IpEndpoint Model::observed_external(const ModelSession& session) const {
  if (seen_->reason.starts_with("translated")) return read(seen_->bytes).ends.source;
  for (const SessionView& view : witness_.sessions()) {
    if (view.namespace_id == session.tenant && view.protocol == session.protocol &&
        view.internal == session.internal && view.remote == session.outside_remote) {
      return view.external;
    }
  }
  throw Dropped{{"translated_outbound"}};
}

// RFC 4787 REQ-2: an internal address keeps its external one.
void Model::check_address(NamespaceId tenant, const IpEndpoint& internal,
                          const IpEndpoint& external) {
  const auto allowed = addresses_of(tenant, is_v6(internal.address));
  if (std::ranges::find(allowed, external.address) == allowed.end()) {
    throw Disagreement(text(external) + " is not an external address of the namespace");
  }
  const auto [known, added] =
      paired_.try_emplace({tenant, text(internal.address)}, external.address);
  if (!added && known->second != external.address) {
    throw Disagreement(text(internal.address) + " has two external addresses: " +
                       text(known->second) + " and " + text(external.address));
  }
}

void Model::check_port(std::uint8_t protocol, std::uint16_t internal, const IpEndpoint& external,
                       const IpEndpoint& remote) const {
  const auto ports = ports_for(protocol, internal);
  const bool fits = engine_supports.borrowing || !has_ports(protocol)
                        ? policy_.ports.contains(external.port) || !has_ports(protocol)
                        : std::ranges::find(ports, external.port) != ports.end();
  if (!fits) throw Disagreement("port " + std::to_string(external.port) + " is out of the range");
  if (port_state(protocol, external, remote) == PortState::taken) {
    throw Disagreement(text(external) + " is taken, or rests");
  }
  if (!has_ports(protocol)) return;
  const auto is_free = [&](std::uint16_t port) {
    return port_state(protocol, {external.address, port}, remote) == PortState::free;
  };
  const int likeness_chosen = likeness(protocol, external.port, internal);
  for (const std::uint16_t port : ports) {
    // Only ports of the own shard count here: others are borrowed in need.
    const bool own = ((port ^ internal) >> 1 & (options_.shards - 1)) == 0;
    const bool is_better = likeness(protocol, port, internal) > likeness_chosen;
    const bool is_kept =
        engine_supports.port_preservation && port == internal && external.port != internal;
    if (own && (is_better || is_kept) && is_free(port)) {
      throw Disagreement("port " + std::to_string(external.port) + " for " +
                         std::to_string(internal) + ", though " + std::to_string(port) +
                         " was free");
    }
  }
}

// For which address the port was wanted is not known before the internal one has its own.
void Model::check_exhausted(const ModelSession& session) const {
  const IpEndpoint& internal = session.internal;
  auto addresses = addresses_of(session.tenant, is_v6(internal.address));
  const auto known = paired_.find({session.tenant, text(internal.address)});
  if (known != paired_.end()) addresses = {known->second};
  const auto has_free = [&](const IpAddress& address) {
    return std::ranges::any_of(ports_for(session.protocol, internal.port), [&](std::uint16_t port) {
      return port_state(session.protocol, {address, port}, session.outside_remote) ==
             PortState::free;
    });
  };
  if (std::ranges::all_of(addresses, has_free)) {
    throw Disagreement("no_free_port, though there was one");
  }
}

}  // namespace swnat::property
