// One run of the benchmark: what was measured, where and when.
#pragma once

#include <string>

#include "tools/bench/machine.h"
#include "tools/bench/rows.h"

namespace swnat::bench {

struct Run {
  Machine machine;
  std::string date;  // UTC, ISO 8601
  bool is_quick = false;
  int rounds = 0;
  Rows rows;
};

}  // namespace swnat::bench
