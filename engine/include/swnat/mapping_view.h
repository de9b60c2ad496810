// A mapping as it is shown to people and programs: a copy, made under the shard's lock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "swnat/address.h"
#include "swnat/packet.h"
#include "swnat/traffic.h"

namespace swnat {

struct MappingView {
  NamespaceId namespace_id = 0;
  std::uint8_t protocol = 0;  // IP protocol number
  IpEndpoint internal;
  IpEndpoint external;
  // Of mappings that serve one remote: of protocols without ports, and with
  // address-and-port-dependent mapping.
  std::optional<IpEndpoint> remote = {};
  std::uint32_t sessions = 0;
  bool is_forward = false;            // the external endpoint is a rule's (Policy::forwards)
  std::chrono::milliseconds age{0};   // of the oldest session
  std::chrono::milliseconds idle{0};  // of the session that is idle for the shortest time
  TwoWayTraffic traffic{};            // of its sessions that there are
};

// Where a listing of mappings goes on (Engine::mappings).
struct MappingCursor {
  std::uint32_t shard = 0;  // counted through both families
  std::uint32_t position = 0;
  // Of a mapping with many sessions, whose sum goes on with the next call.
  bool is_summing = false;
  bool is_meant = false;
  bool is_by_record = false;  // else along its ring
  bool member_keeps = false;
  std::uint32_t member = 0;  // that comes next: a session of the ring, or a record
  std::uint32_t member_made = 0;
  MappingView sum = {};
};

}  // namespace swnat
