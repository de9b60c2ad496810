#include "engine/events/event_outlet.h"

namespace swnat {

void EventOutlet::tell(EventKind kind, Event event) {
  if (!is_heard(kind)) return;
  event.kind = kind;
  ring_->push(event);
}

// Who tells knows ticks only: what they are on the reader's clock follows from how long ago they
// were.
std::size_t EventOutlet::take(std::span<Event> out, std::chrono::milliseconds now) {
  if (ring_ == nullptr) return 0;
  const std::size_t taken = ring_->take(out);
  for (Event& event : out.first(taken)) {
    const auto tick = static_cast<Tick>(event.time.count());
    event.time = now - std::chrono::milliseconds(elapsed(tick, static_cast<Tick>(now.count())));
  }
  return taken;
}

}  // namespace swnat
