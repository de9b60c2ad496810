// What a new session is made of, beside what its first packet says.
#pragma once

#include <cstdint>

#include "engine/policy/namespaces.h"
#include "engine/session/flow_key.h"
#include "engine/session/session.h"

namespace swnat {

template <class Family>
struct NewSession {
  const NamespaceEntry& tenant;
  std::uint32_t slot;  // where it counts
  Leg<Family> inside;
  Leg<Family> outside;              // its local end is chosen last
  SessionRef mapping = no_session;  // a session of the same mapping, if there is one
  bool is_forward = false;          // its external endpoint is a rule's, not from the free ports
  bool remote_is_inside = false;
  FlowHashes flows{};

  NamespaceId realm() const { return remote_is_inside ? tenant.id : 0; }
  FlowKey<Family> outside_flow(std::uint8_t protocol) const {
    return FlowKey<Family>::outside_flow(realm(), protocol, outside);
  }
};

}  // namespace swnat
