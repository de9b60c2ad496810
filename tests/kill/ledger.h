// What a process says of its sessions before and after each call of the engine, in memory that
// outlives it: so its parent knows which sessions must be there after its death, which must not,
// and which one each worker was busy with.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "tests/kill/dialogue.h"

namespace swnat::test {

enum class Fate : std::uint8_t {
  absent,   // never was, or a call that ended it has returned, or its time is over
  opening,  // a call that makes it is under way
  present,  // the call that made it has returned, and none that ends it has begun
  ending,   // a call that ends it is under way
};

struct Entry {
  std::atomic<Fate> fate;
  std::atomic<std::uint16_t> port;  // external
  // When it was last active. While a call that makes it active is under way, `next_active` is the
  // time of that call.
  std::atomic<std::int64_t> active;
  std::atomic<std::int64_t> next_active;
};

enum class Phase : std::uint8_t { started, attaching, working, failed };

struct Deeds {
  std::atomic<std::uint64_t> opened;
  std::atomic<std::uint64_t> refreshed;
  std::atomic<std::uint64_t> closed;
  std::atomic<std::uint64_t> evicted;
  std::atomic<std::uint64_t> expired;
};

struct Ledger {
  static constexpr std::size_t entries_max = 512;  // of a worker in a namespace

  std::atomic<Phase> phase;
  std::atomic<std::int64_t> clock;
  std::array<char, 200> failure;  // when `phase` says so
  Deeds deeds;
  std::array<std::array<Entry, entries_max>, workers> roomy;
  std::array<std::array<Entry, entries_max>, workers> crowded;
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free, "it is shared by processes");

}  // namespace swnat::test
