#include "nfq/watcher.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "nfq/error.h"

namespace swnat::nfq {

Watcher::Watcher(EventKinds kinds, SessionPattern pattern)
    : EventListener(kinds),
      pattern_(std::move(pattern)),
      wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      ring_(capacity) {
  if (!wakeup_) throw Error(fmt::format("eventfd: {}", std::strerror(errno)));
}

// What was lost in the engine may have been meant or not.
bool Watcher::wants(const Event& event) const {
  if (event.kind == EventKind::lost) return kinds().contains(event.lost_kind);
  return kinds().contains(event.kind) && pattern_.matches(event);
}

void Watcher::take(std::span<const Event> events) {
  bool has_some = false;
  {
    const Lock lock(mutex_);
    for (const Event& event : events) {
      if (!wants(event)) continue;
      keep(event);
      has_some = true;
    }
  }
  if (has_some) ::eventfd_write(wakeup_.get(), 1);
}

void Watcher::keep(const Event& event) {
  const bool has_loss = loss_.count != 0;
  if (room() >= (has_loss ? 2 : 1)) {
    if (has_loss) push(std::exchange(loss_, Event{}));
    return push(event);
  }
  if (!has_loss) loss_.time = event.time;
  loss_.count += event.kind == EventKind::lost ? event.count : 1;
}

void Watcher::push(const Event& event) {
  ring_[(first_ + count_) % ring_.size()] = event;
  ++count_;
}

std::size_t Watcher::drain(std::span<Event> out) {
  // Before looking, so that what comes afterwards is told again.
  eventfd_t told = 0;
  ::eventfd_read(wakeup_.get(), &told);
  const Lock lock(mutex_);
  std::size_t moved = 0;
  while (moved < out.size() && count_ != 0) {
    out[moved++] = ring_[first_];
    first_ = (first_ + 1) % ring_.size();
    --count_;
  }
  if (moved < out.size() && loss_.count != 0) out[moved++] = std::exchange(loss_, Event{});
  return moved;
}

}  // namespace swnat::nfq
