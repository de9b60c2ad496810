// The time as packets store it.
#pragma once

#include <cstdint>

namespace swnat {

// Milliseconds, modulo 2^32: compare by the signed difference. Nothing is kept for as long as 2^31
// of them.
using Tick = std::uint32_t;

constexpr std::int32_t elapsed(Tick since, Tick now) {
  return static_cast<std::int32_t>(now - since);
}

}  // namespace swnat
