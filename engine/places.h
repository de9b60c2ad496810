// Packets of a batch by their place in it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "engine/lookup.h"

namespace swnat {

using Places = std::uint32_t;  // a bit each
static_assert(batch_max <= std::numeric_limits<Places>::digits);

template <class Each>
void for_each(Places places, Each each) {
  for (; places != 0; places &= places - 1)
    each(static_cast<std::size_t>(std::countr_zero(places)));
}

}  // namespace swnat
