// The session records of one shard, in one block of memory: the truth that all else is derived
// from.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "engine/links.h"
#include "engine/memory.h"
#include "engine/session.h"

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

  // For records found in the memory: each is either kept or made free.
  void keep() { ++count_; }
  void drop(SessionRef ref, LinkTable& links) {
    ++count_;
    free(ref, links);
  }

  // Writes the record, its state last: whoever reads the memory finds a whole session or none.
  void commit(SessionRef ref, const Session<Family>& session) {
    Session<Family> uncommitted = session;
    uncommitted.state = SessionState::free;
    records_[ref] = uncommitted;
    std::atomic_ref(records_[ref].state).store(session.state, std::memory_order_release);
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
