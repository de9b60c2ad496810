#include "engine/port_pool.h"

#include <bit>
#include <cassert>

namespace swnat {
namespace {

constexpr std::uint32_t word_bits = 64;

// The first set bit at or after `start` among `words`, or nothing.
std::optional<std::uint32_t> first_set(const std::vector<std::uint64_t>& words,
                                       std::uint32_t start) {
  std::uint32_t word = start / word_bits;
  if (word >= words.size()) return {};
  std::uint64_t bits = words[word] & ~std::uint64_t{0} << start % word_bits;
  while (bits == 0) {
    if (++word == words.size()) return {};
    bits = words[word];
  }
  return word * word_bits + static_cast<std::uint32_t>(std::countr_zero(bits));
}

}  // namespace

PortPool::PortPool(PortRange range, std::uint32_t shard, std::uint32_t shards)
    : range_(range),
      shard_(shard),
      shards_(shards),
      position_shift_(1 + static_cast<std::uint32_t>(std::countr_zero(shards))) {
  const std::uint32_t positions = 65536u >> position_shift_;
  const std::uint32_t words = (positions + word_bits - 1) / word_bits;
  for (Bitmap& bitmap : free_) {
    bitmap.words.resize(words);
    bitmap.summary.resize((words + word_bits - 1) / word_bits);
  }
  for (std::uint32_t port = range.first; port <= range.last; ++port) {
    const auto candidate = static_cast<std::uint16_t>(port);
    if (owns(candidate)) set(free_[candidate & 1], position_of(candidate));
  }
}

bool PortPool::owns(std::uint16_t port) const {
  return port >= range_.first && port <= range_.last && shard_of_port(port, shards_) == shard_;
}

std::uint16_t PortPool::port_at(std::uint32_t parity, std::uint32_t position) const {
  return static_cast<std::uint16_t>(position << position_shift_ | shard_ << 1 | parity);
}

void PortPool::set(Bitmap& bitmap, std::uint32_t position) {
  const std::uint32_t word = position / word_bits;
  bitmap.words[word] |= std::uint64_t{1} << position % word_bits;
  bitmap.summary[word / word_bits] |= std::uint64_t{1} << word % word_bits;
  ++bitmap.count;
}

void PortPool::clear(Bitmap& bitmap, std::uint32_t position) {
  const std::uint32_t word = position / word_bits;
  bitmap.words[word] &= ~(std::uint64_t{1} << position % word_bits);
  if (bitmap.words[word] == 0) {
    bitmap.summary[word / word_bits] &= ~(std::uint64_t{1} << word % word_bits);
  }
  --bitmap.count;
}

// The next free position at or after `start`, beginning again at 0 after the last. One must be
// free.
std::uint32_t PortPool::next_free(const Bitmap& bitmap, std::uint32_t start) {
  const std::uint32_t word = start / word_bits;
  const std::uint64_t here = bitmap.words[word] & ~std::uint64_t{0} << start % word_bits;
  if (here != 0) return word * word_bits + static_cast<std::uint32_t>(std::countr_zero(here));
  std::optional<std::uint32_t> found = first_set(bitmap.summary, word + 1);
  if (!found) found = first_set(bitmap.summary, 0);
  assert(found);
  return *found * word_bits + static_cast<std::uint32_t>(std::countr_zero(bitmap.words[*found]));
}

std::optional<std::uint16_t> PortPool::take(std::uint16_t like, std::uint64_t random) {
  std::uint32_t parity = like & 1u;
  if (free_[parity].count == 0) parity ^= 1;
  Bitmap& bitmap = free_[parity];
  if (bitmap.count == 0) return {};
  // The start is uniform over the range, not over all 65,536 ports: else the first free port of a
  // narrow range would be drawn nearly always.
  const std::uint32_t first = position_of(range_.first);
  const std::uint32_t span = position_of(range_.last) - first + 1;
  const auto offset = static_cast<std::uint32_t>((random >> 32) * span >> 32);
  const std::uint32_t position = next_free(bitmap, first + offset);
  clear(bitmap, position);
  return port_at(parity, position);
}

bool PortPool::take_exactly(std::uint16_t port) {
  if (!owns(port)) return false;
  Bitmap& bitmap = free_[port & 1];
  const std::uint32_t position = position_of(port);
  const bool is_free = (bitmap.words[position / word_bits] >> position % word_bits & 1) != 0;
  if (is_free) clear(bitmap, position);
  return is_free;
}

void PortPool::release(std::uint16_t port) {
  const std::uint32_t position = position_of(port);
  Bitmap& bitmap = free_[port & 1];
  assert(owns(port));
  assert((bitmap.words[position / word_bits] >> position % word_bits & 1) == 0);
  set(bitmap, position);
}

}  // namespace swnat
