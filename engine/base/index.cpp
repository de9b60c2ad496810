#include "engine/base/index.h"

namespace swnat {

// At full load 65 of 100 slots are in use, and about one entry in sixty lies beyond its home
// bucket.
std::uint64_t Index::lines_for(std::uint64_t entries_max) {
  return entries_max * 100 / (slots * 65) + 1;
}

Index::Index(std::uint64_t entries_max)
    : bucket_count_(lines_for(entries_max)), buckets_(bucket_count_) {}

void Index::insert(std::uint64_t hash, Ref ref) {
  std::uint64_t at = home(hash);
  unsigned free = matches(buckets_[at], empty);
  while (free == 0) {
    if (buckets_[at].passed != passed_max) ++buckets_[at].passed;
    at = after(at);
    free = matches(buckets_[at], empty);
  }
  const auto slot = static_cast<unsigned>(__builtin_ctz(free));
  buckets_[at].tags[slot] = tag(hash);
  buckets_[at].refs[slot] = ref;
}

bool Index::erase(std::uint64_t hash, Ref ref) {
  const Cell cell = cell_of(hash, [ref](Ref other) { return other == ref; });
  if (cell.slot == slots) return false;
  buckets_[cell.bucket].tags[cell.slot] = empty;
  for (std::uint64_t at = home(hash); at != cell.bucket; at = after(at)) {
    if (buckets_[at].passed != passed_max) --buckets_[at].passed;
  }
  return true;
}

bool Index::replace(std::uint64_t hash, Ref before, Ref after) {
  const Cell cell = cell_of(hash, [before](Ref other) { return other == before; });
  if (cell.slot == slots) return false;
  buckets_[cell.bucket].refs[cell.slot] = after;
  return true;
}

}  // namespace swnat
