// Where events go if somebody listens, and where they are read. Where nobody listens there is no
// memory, and is_heard() is all that it costs.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "engine/base/lock.h"
#include "engine/base/tick.h"
#include "engine/events/event_ring.h"
#include "swnat/event.h"

namespace swnat {

class EventOutlet {
 public:
  // Whether any, or this, is listened for.
  bool is_heard() const { return !kinds_.empty(); }
  bool is_heard(EventKind kind) const { return kinds_.contains(kind); }

  // Tells these kinds from now on; none without a ring.
  void listen(EventKinds kinds) { kinds_ = kinds; }
  // Where it tells them. Gives back the former, with what was not read.
  std::unique_ptr<EventRing> swap_ring(std::unique_ptr<EventRing> ring) {
    return std::exchange(ring_, std::move(ring));
  }

  // `event.time` is a tick. Does nothing if this kind is not heard.
  void tell(EventKind kind, Event event);
  // As Engine::take_events().
  std::size_t take(std::span<Event> out, std::chrono::milliseconds now);

 private:
  EventKinds kinds_;
  std::unique_ptr<EventRing> ring_;
};

// One that several tell.
struct SharedEventOutlet {
  Mutex mutex;
  EventOutlet outlet SWNAT_GUARDED_BY(mutex);
};

}  // namespace swnat
