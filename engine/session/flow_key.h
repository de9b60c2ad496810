// What a session is found by. Each session is in the index under five keys: its two flows, and
// three that it may share with other sessions of the same mapping.
#pragma once

#include <cstdint>

#include "engine/base/hash.h"
#include "engine/session/session.h"

namespace swnat {

enum class KeyKind : std::uint8_t {
  inside_flow,   // namespace, internal and remote endpoint
  outside_flow,  // external and remote endpoint, and the namespace that the remote is in
  internal,      // the mapping: namespace and internal endpoint
  external,      // the mapping: external endpoint
  permission,    // external endpoint, remote address and its realm: who may send to the mapping
};

template <class Family>
struct FlowKey {
  Leg<Family> leg;  // what the kind leaves out is zero
  NamespaceId namespace_id;
  KeyKind kind;
  std::uint8_t protocol;

  static FlowKey inside_flow(NamespaceId id, std::uint8_t protocol, const Leg<Family>& leg) {
    return {leg, id, KeyKind::inside_flow, protocol};
  }
  // `realm`: the namespace that the remote endpoint is in, 0 for the outside.
  static FlowKey outside_flow(NamespaceId realm, std::uint8_t protocol, const Leg<Family>& leg) {
    return {leg, realm, KeyKind::outside_flow, protocol};
  }
  static FlowKey internal(NamespaceId id, std::uint8_t protocol, const Leg<Family>& leg) {
    return {{leg.local, {}, leg.local_port, 0}, id, KeyKind::internal, protocol};
  }
  static FlowKey external(std::uint8_t protocol, const Leg<Family>& leg) {
    return {{leg.local, {}, leg.local_port, 0}, 0, KeyKind::external, protocol};
  }
  static FlowKey permission(NamespaceId realm, std::uint8_t protocol, const Leg<Family>& leg) {
    return {{leg.local, leg.remote, leg.local_port, 0}, realm, KeyKind::permission, protocol};
  }

  static FlowKey of(const Session<Family>& session, KeyKind kind) {
    switch (kind) {
      case KeyKind::inside_flow:
        return inside_flow(session.namespace_id, session.protocol, session.inside);
      case KeyKind::outside_flow:
        return outside_flow(session.realm(), session.protocol, session.outside);
      case KeyKind::internal:
        return internal(session.namespace_id, session.protocol, session.inside);
      case KeyKind::external:
        return external(session.protocol, session.outside);
      case KeyKind::permission:
        return permission(session.realm(), session.protocol, session.outside);
    }
    __builtin_unreachable();
  }

  std::uint64_t hash(const Secret& secret) const {
    const std::uint64_t ports = std::uint64_t{leg.remote_port} << 16 | leg.local_port;
    const std::uint64_t rest = std::uint64_t{namespace_id} << 32 | ports;
    const std::uint64_t what = std::uint64_t{protocol} << 8 | static_cast<std::uint64_t>(kind);
    // This last multiplication also spreads runs of ports between the same two addresses.
    const std::uint64_t addresses = Family::hash(leg.local, leg.remote, rest, secret);
    return fold_multiply(addresses ^ what ^ secret[2], secret[3] | 1);
  }

  // Whether the session is one that this key finds.
  bool finds(const Session<Family>& session) const {
    if (session.protocol != protocol || session.state == SessionState::free) return false;
    switch (kind) {
      case KeyKind::inside_flow:
        return session.inside == leg && session.namespace_id == namespace_id;
      case KeyKind::outside_flow:
        return session.outside == leg && session.realm() == namespace_id;
      default:
        return of(session, kind) == *this;
    }
  }

  friend bool operator==(const FlowKey&, const FlowKey&) = default;
};

// The hashes of a session's flows.
struct FlowHashes {
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
};
// Of all its keys; those of the mapping are zero where it shares none.
struct KeyHashes {
  FlowHashes flows;
  std::uint64_t internal = 0;
  std::uint64_t external = 0;
  std::uint64_t permission = 0;
};

}  // namespace swnat
