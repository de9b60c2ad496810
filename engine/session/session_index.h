// The index of the sessions, whose entries are made when their buckets have come from memory.
//
// Theory of operation
//
// A new session has up to five entries, in buckets that are nowhere near each other. So an entry is
// only noted down, and its bucket asked for; the notes are carried out together when there are
// many, or when somebody looks for what may be among them, which a filter tells. So but for
// candidate(), which finds what is looked for mostly, but need not, an entry is there at once.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "engine/base/index.h"
#include "engine/session/session.h"

namespace swnat {

class SessionIndex {
 public:
  explicit SessionIndex(std::uint64_t entries_max) : index_(entries_max) {}

  void populate() { index_.populate(); }
  void prefetch(std::uint64_t hash) const { index_.prefetch(hash); }
  SessionRef candidate(std::uint64_t hash) const { return index_.candidate(hash); }

  void prefetch(std::span<const std::uint64_t> hashes) const {
    for (const std::uint64_t hash : hashes) prefetch(hash);
    keep_prefetches();
  }

  void insert(std::uint64_t hash, SessionRef ref) {
    if (note_count_ == notes_max) carry_out_notes();
    prefetch(hash);
    notes_[note_count_++] = {hash, ref};
    noted_[bit_of(hash) / 64] |= std::uint64_t{1} << bit_of(hash) % 64;
  }

  template <class Wanted>
  SessionRef find(std::uint64_t hash, Wanted&& wanted) {
    settle(hash);
    return index_.find(hash, std::forward<Wanted>(wanted));
  }
  bool erase(std::uint64_t hash, SessionRef ref) {
    settle(hash);
    return index_.erase(hash, ref);
  }
  bool replace(std::uint64_t hash, SessionRef before, SessionRef after) {
    settle(hash);
    return index_.replace(hash, before, after);
  }

 private:
  struct Note {
    std::uint64_t hash;
    SessionRef ref;
  };
  static constexpr std::uint32_t notes_max = 64;
  static constexpr std::uint32_t filter_bits = 2048;

  // Of the filter. The index goes by the highest and the lowest bits.
  static std::uint64_t bit_of(std::uint64_t hash) { return hash >> 16 & (filter_bits - 1); }

  void settle(std::uint64_t hash) {
    if ((noted_[bit_of(hash) / 64] >> bit_of(hash) % 64 & 1) != 0) carry_out_notes();
  }
  void carry_out_notes() {
    for (std::uint32_t i = 0; i < note_count_; ++i) index_.insert(notes_[i].hash, notes_[i].ref);
    note_count_ = 0;
    noted_ = {};
  }

  Index index_;
  std::uint32_t note_count_ = 0;
  std::array<Note, notes_max> notes_;
  std::array<std::uint64_t, filter_bits / 64> noted_{};  // the hashes of the notes
};

}  // namespace swnat
