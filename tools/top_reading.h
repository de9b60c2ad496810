// What the daemon says at one moment of its namespaces, or of the sessions that had packets lately.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/swnatctl_connection.h"
#include "tools/swnatctl_text.h"

namespace swnat::ctl {

enum class TopBy { namespaces, sessions };

struct TopTraffic {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

struct TopRow {
  std::string name;  // the namespace's
  TopTraffic outbound = {};
  TopTraffic inbound = {};
  // Of a namespace.
  std::uint64_t sessions = 0;
  std::uint64_t session_limit = 0;
  std::uint64_t sessions_made = 0;
  std::uint64_t ports = 0;
  // Of a session.
  std::string protocol = {};
  std::string internal = {};
  std::string external = {};
  std::string remote = {};
};

struct TopReading {
  TopBy by = TopBy::namespaces;
  std::chrono::steady_clock::time_point time = {};
  std::vector<TopRow> rows = {};
  bool is_cut = false;  // there are more
};

// Of more sessions the daemon is not asked.
inline constexpr std::size_t most_top_rows = 100'000;

// Namespaces that have something, or sessions that had a packet within that time.
Json top_request(TopBy by, std::chrono::seconds lately);
// The answer to it. Throws as take_first_line() does.
TopReading take_top_reading(Connection& connection, const std::string& socket, TopBy by);

}  // namespace swnat::ctl
