// The events of one shard that wait for their reader: a fixed number, and what found no room is
// counted.
//
// What is lost is told in its place among its kind: before the next of that kind that found room
// again, or when all else is read. Refused packets have a quarter of the room and no more: whoever
// sends many of them pushes out none of the others, which come no faster than sessions are made.
// One ring for all of them, and not one of their own, keeps the order.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engine/base/memory.h"
#include "swnat/event.h"

namespace swnat {

class EventRing {
 public:
  explicit EventRing(std::uint32_t capacity) : refused_max_(capacity / 4), events_(capacity) {}

  void populate() { events_.populate(); }

  void push(const Event& event);
  // Moves the oldest ones to `out`. Returns how many.
  std::size_t take(std::span<Event> out);

 private:
  struct Loss {
    std::uint64_t count = 0;
    std::chrono::milliseconds since{0};
  };

  bool has_room(EventKind kind, std::uint32_t count) const;
  void append(const Event& event);
  Event take_loss(EventKind kind);
  static bool counts_as_refused(const Event& event) {
    return event.kind == EventKind::refused || event.lost_kind == EventKind::refused;
  }

  std::uint32_t refused_max_;
  std::uint32_t first_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t refused_ = 0;  // of these
  std::array<Loss, event_kind_count> losses_{};
  ReservedArray<Event> events_;
};

}  // namespace swnat
