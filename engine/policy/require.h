// What a policy must be like.
#pragma once

#include <stdexcept>

namespace swnat {

// Throws std::invalid_argument, which says `what` is so in a policy that is valid.
inline void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

}  // namespace swnat
