// `swnatctl top --batch`: tables one below the other, for which no terminal is needed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tools/top_controls.h"

namespace swnat::ctl {

struct TopOptions {
  bool is_batch = false;
  std::uint64_t count = 0;  // of tables; 0: without end
  std::uint64_t limit = 0;  // of a table's lines; 0: all
  TopControls controls = {};
};

// How long ago a session that is shown had its last packet, at most.
std::chrono::seconds lately(double interval);

// Each table has the rates of the interval before it. Returns the exit status. Throws as
// take_first_line() does.
int top_batch(const std::string& socket, std::chrono::seconds patience, const TopOptions& options);

}  // namespace swnat::ctl
