// A record of the mapping log: what the engine told, with the names and the time that people use.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "swnat/event.h"

namespace swnat::nfq {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

struct LogRecord {
  WallTime time;
  // Of the kind `lost` and of which kinds unknown: what an output did not take.
  Event event = {};
  // A namespace's name; empty if it has none, or if a block is of all that have none of their own.
  std::string_view namespace_name = {};
  // Not of an event: the log begins here, and event.count sessions were there before. Where none
  // was, whoever had ports has them no more.
  bool begins = false;
};

// One line with its end. The order of the keys and the width of the time are what `swnatctl who`
// relies on (tools/record_search.h). Remotes are told only if `destinations` are wanted.
void append_json(std::string& text, const LogRecord& record, bool destinations);

}  // namespace swnat::nfq
