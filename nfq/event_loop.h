// Owners for libsystemd's event loop.
#pragma once

#include <systemd/sd-event.h>

#include <cstdint>
#include <memory>

namespace swnat::nfq {

// In microseconds, for timers that are to fire when they are due: 0 would mean a quarter of a
// second.
inline constexpr std::uint64_t timer_accuracy = 1;

struct EventLoopRelease {
  void operator()(sd_event* loop) const { sd_event_unref(loop); }
};
using EventLoop = std::unique_ptr<sd_event, EventLoopRelease>;

// The callback is not called again once its source is released, which a callback may do itself.
struct EventSourceRelease {
  void operator()(sd_event_source* source) const { sd_event_source_disable_unref(source); }
};
using EventSource = std::unique_ptr<sd_event_source, EventSourceRelease>;

}  // namespace swnat::nfq
