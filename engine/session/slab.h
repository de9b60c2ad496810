// The session records of one shard, in one block of memory: the truth that all else is derived
// from.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>

#include "engine/base/memory.h"
#include "engine/session/links.h"
#include "engine/session/session.h"

namespace swnat {

template <class Family>
class Slab {
 public:
  // `used` is where the memory remembers how many records were ever used.
  Slab(std::span<Session<Family>> records, std::uint32_t& used) : records_(records), used_(used) {}

  Session<Family>& operator[](SessionRef ref) { return records_[ref]; }
  const Session<Family>& operator[](SessionRef ref) const { return records_[ref]; }

  std::uint32_t count() const { return count_; }
  // Records at or beyond this place were never used, and their memory never touched.
  std::uint32_t used() const { return used_; }

  // A free place, or no_session when all are taken. It is a session only once it is committed.
  SessionRef allocate(LinkTable& links) {
    SessionRef ref = first_free_;
    if (ref != no_session) {
      first_free_ = links[ref].timer.next;
    } else if (used_ < records_.size()) {
      ref = used_++;
    } else {
      return no_session;
    }
    ++count_;
    return ref;
  }

  // Whether allocate() would find one.
  bool has_place() const { return first_free_ != no_session || used_ < records_.size(); }

  // Asks for the memory of a record, which packets of its session will look at as a whole.
  void prefetch(SessionRef ref) const {
    constexpr std::size_t line = 64;
    const auto* bytes = reinterpret_cast<const char*>(&records_[ref]);
    for (std::size_t at = 0; at < sizeof records_[ref]; at += line) __builtin_prefetch(bytes + at);
  }
  // Asks for the memory of the next places that allocate() will return.
  void prefetch_next(const LinkTable& links, std::uint32_t count) const {
    const SessionRef first = first_free_ != no_session ? first_free_ : used_;
    const std::uint64_t end = first_free_ != no_session ? first + 1 : std::uint64_t{first} + count;
    for (std::uint64_t ref = first; ref < std::min<std::uint64_t>(end, records_.size()); ++ref) {
      __builtin_prefetch(&records_[ref]);
      __builtin_prefetch(&links[ref]);
    }
    keep_prefetches();
  }

  // For records found in the memory: each is either kept or made free.
  void keep() { ++count_; }
  void drop(SessionRef ref, LinkTable& links) {
    ++count_;
    free(ref, links);
  }

  // A record is filled where it lies, all but its state, which commit() then writes: whoever reads
  // the memory finds a whole session or none.
  Session<Family>& blank(SessionRef ref) { return records_[ref] = {}; }
  void commit(SessionRef ref, SessionState state) {
    std::atomic_ref(records_[ref].state).store(state, std::memory_order_release);
  }

  void free(SessionRef ref, LinkTable& links) {
    std::atomic_ref(records_[ref].state).store(SessionState::free, std::memory_order_release);
    links[ref].timer.next = first_free_;
    first_free_ = ref;
    --count_;
  }

 private:
  std::span<Session<Family>> records_;
  SessionRef first_free_ =
      no_session;  // chained through SessionLinks::timer, which free places do not use
  std::uint32_t& used_;
  std::uint32_t count_ = 0;
};

}  // namespace swnat
