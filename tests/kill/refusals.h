// Session memory that is of no use is refused, and left as it was.
#pragma once

#include <cstddef>
#include <span>

#include "swnat/engine.h"

namespace swnat::test {

// With memory that an engine of kill_options() made, which is completed if a kill left it new.
// Throws std::runtime_error that says what is wrong. Returns how many kinds were refused.
int examine_refusals(std::span<std::byte> memory, Time now);

}  // namespace swnat::test
