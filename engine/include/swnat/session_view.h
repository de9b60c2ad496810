// A session as it is shown to people and programs: a copy, made under the shard's lock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "swnat/address.h"
#include "swnat/packet.h"
#include "swnat/traffic.h"

namespace swnat {

// A session that is older is told as that old.
inline constexpr std::chrono::milliseconds session_age_max = std::chrono::hours(24 * 30);

struct SessionView {
  NamespaceId namespace_id = 0;
  std::uint8_t protocol = 0;  // IP protocol number: 1 ICMP, 58 ICMPv6, 6 TCP, 17 UDP, …
  IpEndpoint internal;
  IpEndpoint external;
  IpEndpoint remote;
  std::string_view state;  // "established", "closing", …; static storage
  // Since it was made; over restarts, too, if its session memory was.
  std::chrono::milliseconds age{0};
  std::chrono::milliseconds idle{0};
  std::chrono::milliseconds expires_in{0};
  TwoWayTraffic traffic{};  // since the engine was made, if it took the session over
};

}  // namespace swnat
