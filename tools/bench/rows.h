// The groups of rows. Each builds what it needs, measures it beside its reference, and gives
// everything back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tools/bench/rounds.h"

namespace swnat::bench {

using Rows = std::vector<Row>;

// Packets of sessions that are there, at each size of the table.
Rows established(const Effort& effort);

}  // namespace swnat::bench
