#include "tools/bench/floor.h"

#include "engine/base/index.h"
#include "tools/bench/rounds.h"

namespace swnat::bench {
namespace {

constexpr int batch = 32;

std::uint64_t records_lines(std::uint64_t sessions, std::size_t record_size) {
  return sessions * record_size / 64;
}

}  // namespace

Floor::Floor(std::uint64_t sessions, std::size_t record_size)
    : index_(Index::lines_for(sessions * 2)),
      records_(records_lines(sessions, record_size)),
      random_(sessions) {
  for (std::size_t i = 0; i < index_.size(); ++i) index_[i].words[0] = random_.next() >> 32;
  for (std::size_t i = 0; i < records_.size(); ++i) records_[i].words[0] = i;
}

std::uint64_t Floor::touch_batch(SplitMix& random) const {
  const Line* lines[2 * batch];
  for (int i = 0; i < batch; ++i) {
    const std::uint64_t number = random.next();
    lines[2 * i] = &index_[(number >> 32) * index_.size() >> 32];
    lines[2 * i + 1] = &records_[(number & 0xffff'ffff) * records_.size() >> 32];
    __builtin_prefetch(lines[2 * i]);
    __builtin_prefetch(lines[2 * i + 1]);
  }
  std::uint64_t sum = 0;
  for (const Line* line : lines) sum += line->words[0];
  return sum;
}

void Floor::touch(SplitMix& random, std::uint32_t pairs) const {
  for (std::uint32_t i = 0; i < pairs; i += batch) keep(touch_batch(random));
}

double Floor::measure(std::uint32_t pairs) {
  // The first eighth brings the caches to where they would be.
  touch(random_, pairs / 8);
  const auto start = Clock::now();
  touch(random_, pairs);
  return nanoseconds_since(start) / pairs;
}

}  // namespace swnat::bench
