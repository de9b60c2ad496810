#include "engine/fragments/identification.h"

#include <atomic>

namespace swnat {

std::uint32_t Identifications::next_wide(std::uint64_t endpoints, std::uint16_t count) {
  const std::uint64_t place = fold_multiply(endpoints ^ secret_[0], secret_[1] | 1);
  const std::uint64_t offset = fold_multiply(endpoints ^ secret_[2], secret_[3] | 1);
  std::atomic_ref counter(counters_[place % counters]);
  return counter.fetch_add(count, std::memory_order_relaxed) + static_cast<std::uint32_t>(offset);
}

}  // namespace swnat
