// The external ports of one shard, parity and class: which of them are free, which rest.
//
// Theory of operation
//
// A port is free, taken, or resting: released, but not to be handed out yet (RFC 6888 REQ-8). Ports
// are counted by their place in the set. The free ones are a bitmap, one bit a port, and a summary
// has a bit for every word that is not zero, so the next free port from a random start is found in
// a few steps, however full the set is, and the last one too. The resting ones are a list; all rest
// equally long, so the earliest is due first, and no other is looked at. They are a bitmap, too, so
// that whether a port rests is known without a look at the list, which is too large for the caches.
// A due port becomes free when a port is looked for; a bounded number of them each time, but at
// least one. Where there is nothing else, the earliest is taken before it is due: ports that rest
// must keep nobody out.
//
// The caller holds a lock around every call but `may_serve`, which tells any thread whether it is
// worth taking that lock. Releasing a port that is not taken is a defect of the caller and
// asserted.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/base/tick.h"

namespace swnat {

// How long, in milliseconds, a port rests.
inline constexpr std::int32_t port_rest = 120'000;

// One thread's clock may be a little behind another's, by far less than a port rests; beyond that,
// the time is too long for elapsed().
constexpr bool has_rested(Tick since, Tick now) {
  const std::int32_t rested = elapsed(since, now);
  return rested >= port_rest || rested < -port_rest;
}

// What a set knows of a port while it rests. Links are kept one higher; 0 is none.
struct RestingPort {
  Tick since;
  std::uint16_t earlier_plus_1;
  std::uint16_t later_plus_1;
};

class PortSet {
 public:
  // Words of zeroed memory that a set of `size` ports wants.
  static std::uint32_t words_for(std::uint32_t size);

  // Of `size` ports, 32,768 at most, all taken. `words` is words_for(size) long, `resting` size.
  PortSet(std::uint32_t size, std::span<std::uint64_t> words, std::span<RestingPort> resting);

  // The next free one at or after `start`, which is a place of the set, or else the first. Nothing
  // when none is left.
  std::optional<std::uint32_t> take(std::uint32_t start, Tick now);

  // The next free one at or after `start`, or else the first, of those from `begin` up to, but not
  // including, `end`. `start` is one of them.
  std::optional<std::uint32_t> take_between(std::uint32_t begin, std::uint32_t end,
                                            std::uint32_t start, Tick now);

  // Whether `take_between` would find one.
  bool has_between(std::uint32_t begin, std::uint32_t end, Tick now);

  // The one that has rested longest, due or not. Nothing when none rests.
  std::optional<std::uint32_t> take_resting();

  // This very one, if it is free; and whether it is.
  bool take_free(std::uint32_t place, Tick now);
  bool may_take(std::uint32_t place, Tick now) const;

  // Makes this very one free, if it rests.
  void free_resting(std::uint32_t place);

  // This very one, be it free or resting.
  bool take_exactly(std::uint32_t place);

  // Makes all from `begin` up to, but not including, `end` free, which are taken.
  void release_all(std::uint32_t begin, std::uint32_t end);

  // Makes a taken one free, or lets it rest before.
  void release(std::uint32_t place);
  void rest(std::uint32_t place, Tick now);

  // Whether `take` would find one. Any thread; what others do meanwhile may be missed.
  bool may_serve(Tick now) const;

  // Since when the one rests that `take_resting` would find, if any. Any thread.
  std::optional<Tick> resting_since() const;

  // Of those that rest and are not due. Looks at those that are.
  std::uint32_t resting_count(Tick now) const;
  std::uint32_t resting_count() const { return resting_count_; }

  // Of the ports that are free already; any thread.
  std::uint32_t free_count() const {
    return availability_.load(std::memory_order_relaxed).free_count;
  }

 private:
  // All that another thread must know to tell whether there is anything to be had. Aligned to its
  // size, because clang++ otherwise asks a library for atomic access.
  struct alignas(std::uint64_t) Availability {
    std::uint16_t free_count = 0;
    std::uint16_t resting_count = 0;
    Tick earliest = 0;  // since when the first of them rests
  };
  static_assert(std::atomic<Availability>::is_always_lock_free);

  bool is_free(std::uint32_t place) const;
  bool is_resting(std::uint32_t place) const;
  void set_free(std::uint32_t place);
  void clear_free(std::uint32_t place);
  std::uint32_t next_free(std::uint32_t start) const;
  std::optional<std::uint32_t> free_between(std::uint32_t begin, std::uint32_t end) const;
  void begin_rest(std::uint32_t place, Tick now);
  void end_rest(std::uint32_t place);
  void free_rested(Tick now);
  void publish();

  std::uint16_t free_count_ = 0;
  std::uint16_t resting_count_ = 0;
  std::uint16_t earliest_plus_1_ = 0;
  std::uint16_t latest_plus_1_ = 0;
  std::span<std::uint64_t> words_;       // set: free
  std::span<std::uint64_t> summary_;     // set: the word is not zero
  std::span<std::uint64_t> rest_words_;  // set: resting
  std::span<RestingPort> resting_;
  std::atomic<Availability> availability_{};
};

}  // namespace swnat
