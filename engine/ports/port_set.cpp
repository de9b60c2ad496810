#include "engine/ports/port_set.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace swnat {
namespace {

constexpr std::uint32_t word_bits = 64;

// Rested ports made free in one call.
constexpr int freed_per_call = 16;

constexpr std::uint32_t words_of_bits(std::uint32_t bits) {
  return (bits + word_bits - 1) / word_bits;
}

bool test(std::span<const std::uint64_t> words, std::uint32_t place) {
  return (words[place / word_bits] >> place % word_bits & 1) != 0;
}
void set(std::span<std::uint64_t> words, std::uint32_t place) {
  words[place / word_bits] |= std::uint64_t{1} << place % word_bits;
}
void clear(std::span<std::uint64_t> words, std::uint32_t place) {
  words[place / word_bits] &= ~(std::uint64_t{1} << place % word_bits);
}

// The first set bit at or after `start` among `words`, or nothing.
std::optional<std::uint32_t> first_set(std::span<const std::uint64_t> words, std::uint32_t start) {
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

std::uint32_t PortSet::words_for(std::uint32_t size) {
  return 2 * words_of_bits(size) + words_of_bits(words_of_bits(size));
}

PortSet::PortSet(std::uint32_t size, std::span<std::uint64_t> words, std::span<RestingPort> resting)
    : words_(words.first(words_of_bits(size))),
      summary_(words.subspan(words_.size(), words_of_bits(words_of_bits(size)))),
      rest_words_(words.subspan(words_.size() + summary_.size())),
      resting_(resting) {
  assert(size <= 32'768);
  assert(words.size() == words_for(size) && resting.size() == size);
}

std::optional<std::uint32_t> PortSet::take(std::uint32_t start, Tick now) {
  free_rested(now);
  std::optional<std::uint32_t> place;
  if (free_count_ != 0) {
    place = next_free(start);
    clear_free(*place);
  }
  publish();
  return place;
}

std::optional<std::uint32_t> PortSet::take_between(std::uint32_t begin, std::uint32_t end,
                                                   std::uint32_t start, Tick now) {
  assert(begin <= start && start < end);
  free_rested(now);
  std::optional<std::uint32_t> place = free_between(start, end);
  if (!place) place = free_between(begin, start);
  if (place) clear_free(*place);
  publish();
  return place;
}

bool PortSet::has_between(std::uint32_t begin, std::uint32_t end, Tick now) {
  free_rested(now);
  publish();
  return free_between(begin, end).has_value();
}

std::optional<std::uint32_t> PortSet::take_resting() {
  if (earliest_plus_1_ == 0) return {};
  const std::uint32_t place = earliest_plus_1_ - 1u;
  end_rest(place);
  publish();
  return place;
}

bool PortSet::take_free(std::uint32_t place, Tick now) {
  return may_take(place, now) && take_exactly(place);
}

bool PortSet::may_take(std::uint32_t place, Tick now) const {
  return is_free(place) || (is_resting(place) && has_rested(resting_[place].since, now));
}

void PortSet::free_resting(std::uint32_t place) {
  if (!is_resting(place)) return;
  end_rest(place);
  set_free(place);
  publish();
}

bool PortSet::take_exactly(std::uint32_t place) {
  if (is_free(place)) {
    clear_free(place);
  } else if (is_resting(place)) {
    end_rest(place);
  } else {
    return false;
  }
  publish();
  return true;
}

std::uint32_t PortSet::resting_count(Tick now) const {
  std::uint32_t count = resting_count_;
  std::uint16_t next = earliest_plus_1_;
  while (next != 0 && has_rested(resting_[next - 1u].since, now)) {
    --count;
    next = resting_[next - 1u].later_plus_1;
  }
  return count;
}

void PortSet::release_all(std::uint32_t begin, std::uint32_t end) {
  while (begin < end) {
    const std::uint32_t word = begin / word_bits;
    const std::uint32_t first = begin % word_bits;
    const std::uint32_t count = std::min(word_bits - first, end - begin);
    const std::uint64_t bits = ~std::uint64_t{0} >> (word_bits - count) << first;
    assert((words_[word] & bits) == 0);
    words_[word] |= bits;
    set(summary_, word);
    free_count_ = static_cast<std::uint16_t>(free_count_ + count);
    begin += count;
  }
  publish();
}

void PortSet::release(std::uint32_t place) {
  assert(!is_free(place) && !is_resting(place));
  set_free(place);
  publish();
}

void PortSet::rest(std::uint32_t place, Tick now) {
  assert(!is_free(place) && !is_resting(place));
  free_rested(now);
  begin_rest(place, now);
  publish();
}

bool PortSet::may_serve(Tick now) const {
  const Availability seen = availability_.load(std::memory_order_relaxed);
  return seen.free_count != 0 || (seen.resting_count != 0 && has_rested(seen.earliest, now));
}

std::optional<Tick> PortSet::resting_since() const {
  const Availability seen = availability_.load(std::memory_order_relaxed);
  if (seen.resting_count == 0) return {};
  return seen.earliest;
}

void PortSet::publish() {
  const Tick earliest = resting_count_ == 0 ? 0 : resting_[earliest_plus_1_ - 1u].since;
  availability_.store({free_count_, resting_count_, earliest}, std::memory_order_relaxed);
}

bool PortSet::is_free(std::uint32_t place) const {
  return test(words_, place);
}

void PortSet::set_free(std::uint32_t place) {
  set(words_, place);
  set(summary_, place / word_bits);
  ++free_count_;
}

void PortSet::clear_free(std::uint32_t place) {
  const std::uint32_t word = place / word_bits;
  clear(words_, place);
  if (words_[word] == 0) clear(summary_, word);
  --free_count_;
}

// The next free place at or after `start`, beginning again at 0 after the last. One must be free.
std::uint32_t PortSet::next_free(std::uint32_t start) const {
  const std::uint32_t word = start / word_bits;
  const std::uint64_t here = words_[word] & ~std::uint64_t{0} << start % word_bits;
  if (here != 0) return word * word_bits + static_cast<std::uint32_t>(std::countr_zero(here));
  std::optional<std::uint32_t> found = first_set(summary_, word + 1);
  if (!found) found = first_set(summary_, 0);
  assert(found);
  return *found * word_bits + static_cast<std::uint32_t>(std::countr_zero(words_[*found]));
}

// The first free place at or after `begin`, but before `end`.
std::optional<std::uint32_t> PortSet::free_between(std::uint32_t begin, std::uint32_t end) const {
  assert(end <= resting_.size());
  const auto place = first_set(words_.first(words_of_bits(end)), begin);
  return place && *place < end ? place : std::nullopt;
}

bool PortSet::is_resting(std::uint32_t place) const {
  return test(rest_words_, place);
}

// Threads' clocks differ a little, so one that is behind another's may rest as much longer.
void PortSet::begin_rest(std::uint32_t place, Tick now) {
  const auto own = static_cast<std::uint16_t>(place + 1);
  resting_[place] = {now, latest_plus_1_, 0};
  (latest_plus_1_ == 0 ? earliest_plus_1_ : resting_[latest_plus_1_ - 1u].later_plus_1) = own;
  latest_plus_1_ = own;
  set(rest_words_, place);
  ++resting_count_;
}

void PortSet::end_rest(std::uint32_t place) {
  const auto [since, earlier, later] = resting_[place];
  (earlier == 0 ? earliest_plus_1_ : resting_[earlier - 1u].later_plus_1) = later;
  (later == 0 ? latest_plus_1_ : resting_[later - 1u].earlier_plus_1) = earlier;
  clear(rest_words_, place);
  --resting_count_;
}

void PortSet::free_rested(Tick now) {
  for (int freed = 0; freed < freed_per_call && earliest_plus_1_ != 0; ++freed) {
    const std::uint32_t place = earliest_plus_1_ - 1u;
    if (!has_rested(resting_[place].since, now)) return;
    end_rest(place);
    set_free(place);
  }
}

}  // namespace swnat
