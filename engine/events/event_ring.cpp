#include "engine/events/event_ring.h"

namespace swnat {

bool EventRing::has_room(EventKind kind, std::uint32_t count) const {
  return size_ + count <= events_.size() &&
         (kind != EventKind::refused || refused_ + count <= refused_max_);
}

void EventRing::push(const Event& event) {
  Loss& loss = losses_[static_cast<std::size_t>(event.kind)];
  const bool has_lost = loss.count != 0;
  if (!has_room(event.kind, has_lost ? 2 : 1)) {
    if (!has_lost) loss.since = event.time;
    ++loss.count;
    return;
  }
  if (has_lost) append(take_loss(event.kind));
  append(event);
}

void EventRing::append(const Event& event) {
  events_[(first_ + size_) % events_.size()] = event;
  ++size_;
  if (counts_as_refused(event)) ++refused_;
}

Event EventRing::take_loss(EventKind kind) {
  Loss& loss = losses_[static_cast<std::size_t>(kind)];
  const Event told{
      .time = loss.since, .kind = EventKind::lost, .lost_kind = kind, .count = loss.count};
  loss = {};
  return told;
}

std::size_t EventRing::take(std::span<Event> out) {
  std::size_t taken = 0;
  for (; taken < out.size() && size_ != 0; ++taken) {
    out[taken] = events_[first_];
    if (counts_as_refused(out[taken])) --refused_;
    first_ = static_cast<std::uint32_t>((first_ + 1) % events_.size());
    --size_;
  }
  if (size_ != 0) return taken;
  first_ = 0;  // the part that a reader who keeps up needs stays in the cache
  for (std::size_t kind = 0; kind < event_kind_count && taken < out.size(); ++kind) {
    if (losses_[kind].count != 0) out[taken++] = take_loss(static_cast<EventKind>(kind));
  }
  return taken;
}

}  // namespace swnat
