// The hash index: from the hash of a key to the sessions that may have it.
//
// Theory of operation
//
// A bucket is one cache line of ten slots: a 16-bit tag of the hash and the session's place in the
// slab. The index knows no keys; whoever looks up verifies the candidates. An entry whose bucket is
// full lies in the next one that is not, and every bucket that it passed counts it, so that a
// search stops at the first bucket that nothing has passed. Nothing moves and nothing grows: the
// size is fixed for the greatest load.
#pragma once

#include <cstdint>
#include <utility>

#include "engine/base/memory.h"
#include "engine/base/ref.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace swnat {

class Index {
 public:
  explicit Index(std::uint64_t entries_max);

  // How many cache lines it then is.
  static std::uint64_t lines_for(std::uint64_t entries_max);

  void insert(std::uint64_t hash, Ref ref);

  // The first entry of that hash for which `wanted(ref)` is true, else no_ref.
  template <class Wanted>
  Ref find(std::uint64_t hash, Wanted&& wanted) const;

  // Removes one entry of that hash and reference. Returns whether there was one.
  bool erase(std::uint64_t hash, Ref ref);

  // Lets the entry of `before` name `after`. Returns whether there was one.
  bool replace(std::uint64_t hash, Ref before, Ref after);

  void populate() { buckets_.populate(); }
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&buckets_[home(hash)]); }

  // A guess worth prefetching: the first slot whose tag fits, in the home bucket or, if that was
  // full once, in the next.
  Ref candidate(std::uint64_t hash) const {
    const Bucket* bucket = &buckets_[home(hash)];
    unsigned fits = matches(*bucket, tag(hash));
    if (fits == 0) {
      if (bucket->passed == 0) return no_ref;
      bucket = &buckets_[after(home(hash))];
      fits = matches(*bucket, tag(hash));
      if (fits == 0) return no_ref;
    }
    return bucket->refs[__builtin_ctz(fits)];
  }

 private:
  static constexpr unsigned slots = 10;
  static constexpr std::uint16_t empty = 0;

  struct alignas(64) Bucket {
    std::uint16_t tags[slots];
    std::uint16_t
        passed;  // entries that lie beyond because this bucket was full; stays at its maximum
    std::uint16_t unused;
    Ref refs[slots];
  };
  static_assert(sizeof(Bucket) == 64);
  static constexpr std::uint16_t passed_max = 0xffff;

  struct Cell {
    std::uint64_t bucket;
    unsigned slot;
  };

  std::uint64_t home(std::uint64_t hash) const { return (hash >> 32) * bucket_count_ >> 32; }
  std::uint64_t after(std::uint64_t bucket) const {
    return bucket + 1 == bucket_count_ ? 0 : bucket + 1;
  }
  static std::uint16_t tag(std::uint64_t hash) {
    const auto low = static_cast<std::uint16_t>(hash);
    return low == empty ? std::uint16_t{1} : low;
  }

  // A bit for each slot with that tag.
  static unsigned matches(const Bucket& bucket, std::uint16_t tag) {
#ifdef __SSE2__
    // Slots 0 to 7 and, overlapping, 2 to 9.
    const __m128i wanted = _mm_set1_epi16(static_cast<short>(tag));
    const auto* tags = reinterpret_cast<const char*>(bucket.tags);
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(tags));
    const __m128i last = _mm_loadu_si128(reinterpret_cast<const __m128i*>(tags + 4));
    const auto both = static_cast<unsigned>(_mm_movemask_epi8(
        _mm_packs_epi16(_mm_cmpeq_epi16(first, wanted), _mm_cmpeq_epi16(last, wanted))));
    return (both & 0xff) | (both >> 8) << 2;
#else
    unsigned found = 0;
    for (unsigned i = 0; i < slots; ++i) found |= unsigned{bucket.tags[i] == tag} << i;
    return found;
#endif
  }

  template <class Wanted>
  Cell cell_of(std::uint64_t hash, Wanted&& wanted) const;

  std::uint64_t bucket_count_;
  ReservedArray<Bucket> buckets_;
};

// Ends: every bucket is looked at once at most.
template <class Wanted>
Index::Cell Index::cell_of(std::uint64_t hash, Wanted&& wanted) const {
  std::uint64_t at = home(hash);
  for (std::uint64_t looked = 0; looked < bucket_count_; ++looked, at = after(at)) {
    const Bucket& bucket = buckets_[at];
    for (unsigned fits = matches(bucket, tag(hash)); fits != 0; fits &= fits - 1) {
      const auto slot = static_cast<unsigned>(__builtin_ctz(fits));
      if (wanted(bucket.refs[slot])) return {at, slot};
    }
    if (bucket.passed == 0) break;
  }
  return {0, slots};
}

template <class Wanted>
Ref Index::find(std::uint64_t hash, Wanted&& wanted) const {
  const Cell cell = cell_of(hash, std::forward<Wanted>(wanted));
  return cell.slot == slots ? no_ref : buckets_[cell.bucket].refs[cell.slot];
}

}  // namespace swnat
