// When to look at which session again.
//
// Theory of operation
//
// A wheel of slots, each half a second wide. A packet only stores its tick in the session; when the
// slot that a session waits in comes up, it is freed or waits again until its time is really over,
// at most one turn of the wheel ahead. So a timeout that a reload made shorter is noticed within
// one turn, and nothing is moved for every packet.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/session/links.h"
#include "engine/session/session.h"

namespace swnat {

class TimerWheel {
 public:
  static constexpr std::uint32_t slot_shift = 9;  // 512 ms
  static constexpr std::uint32_t slots = 128;
  static_assert(slots - 1 <= 0x7f);  // SessionLinks::timer_slot

  // Looks at the session when `deadline` is over or one turn has passed, whichever is first.
  void add(LinkTable& links, SessionRef ref, Tick deadline, Tick now) {
    if (waiting_count_++ == 0) position_ = now >> slot_shift;
    // In the slot after the deadline's, so that the time is really over when it comes up.
    const std::uint32_t ahead = ((deadline >> slot_shift) - position_ + 1) & slot_number_mask;
    const std::uint32_t distance =
        ahead > slot_number_mask / 2 ? 1 : std::clamp(ahead, 1u, slots - 1);
    const std::uint32_t slot = (position_ + distance) % slots;
    List<&SessionLinks::timer>::append(links, waiting_[slot], ref);
    links[ref].timer_slot = slot & 0x7f;
  }

  void remove(LinkTable& links, SessionRef ref) {
    List<&SessionLinks::timer>::remove(links, waiting_[links[ref].timer_slot], ref);
    --waiting_count_;
  }

  // Whether next_due() may have one, in a few instructions.
  bool may_be_due(Tick now) const {
    return waiting_count_ != 0 &&
           (position_ != now >> slot_shift || waiting_[position_ % slots].first() != no_session);
  }

  // The next session to look at, taken off the wheel; no_session when nothing is due at `now`.
  SessionRef next_due(LinkTable& links, Tick now) {
    const std::uint32_t target = now >> slot_shift;
    while (waiting_count_ != 0) {
      const SessionRef ref = waiting_[position_ % slots].first();
      if (ref != no_session) {
        remove(links, ref);
        return ref;
      }
      const std::uint32_t behind = (target - position_) & slot_number_mask;
      if (behind == 0 || behind > slot_number_mask / 2) return no_session;
      // Empty slots are stepped over, and after a long sleep one turn is enough to have seen all.
      position_ = (behind > slots ? target - slots : position_ + 1) & slot_number_mask;
    }
    return no_session;
  }

 private:
  static constexpr std::uint32_t slot_number_mask = Tick{0xffff'ffff} >> slot_shift;

  ListEnds waiting_[slots];
  std::uint32_t waiting_count_ = 0;
  std::uint32_t position_ =
      0;  // the number of the slot being looked at, modulo 2^23 as ticks are modulo 2^32
};

}  // namespace swnat
