// Ports on request, as swnat-pcp gives them.
#pragma once

#include <chrono>
#include <cstdint>

namespace swnat::rules {

struct PcpConfig {
  bool enabled = false;
  // Ports and kept sessions that a namespace may have at the same time.
  std::uint32_t max_per_namespace = 32;
  std::chrono::seconds lifetime = std::chrono::hours(2);  // the longest that is given

  friend bool operator==(const PcpConfig&, const PcpConfig&) = default;
};

}  // namespace swnat::rules
