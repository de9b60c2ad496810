// A run as a drawing: the cost of a packet over the size of the table.
#pragma once

#include <string>

#include "tools/bench/run.h"

namespace swnat::bench {

// As SVG. Throws std::runtime_error if no row belongs into it.
std::string plot_svg(const Run& run);

}  // namespace swnat::bench
