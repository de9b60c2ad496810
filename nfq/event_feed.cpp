#include "nfq/event_feed.h"

#include <pthread.h>

#include <chrono>
#include <utility>

#include "nfq/clock.h"

namespace swnat::nfq {
namespace {

constexpr std::chrono::milliseconds pause{20};
constexpr std::size_t events_at_once = 256;

}  // namespace

EventFeed::~EventFeed() {
  std::thread thread;
  {
    const Lock lock(mutex_);
    is_stopping_ = true;
    thread = std::move(thread_);
  }
  changed_.notify_all();
  if (thread.joinable()) thread.join();
  engine_.stop_listening();
}

void EventFeed::add(std::shared_ptr<EventListener> listener) {
  replace(nullptr, std::move(listener));
}

void EventFeed::replace(const EventListener* former, std::shared_ptr<EventListener> listener) {
  const Lock lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  Listeners listeners = listeners_;
  std::erase_if(listeners, [&](const auto& each) { return each.get() == former; });
  listeners.push_back(std::move(listener));
  set_listeners(std::move(listeners));
  changed_.notify_all();
}

void EventFeed::remove(const EventListener* listener) {
  const Lock lock(mutex_);
  Listeners listeners = listeners_;
  std::erase_if(listeners, [&](const auto& each) { return each.get() == listener; });
  set_listeners(std::move(listeners));
}

void EventFeed::set_listeners(Listeners listeners) {
  EventKinds kinds;
  for (const auto& each : listeners) kinds = kinds | each->kinds();
  if (listeners.empty()) {
    engine_.stop_listening();
  } else {
    engine_.listen(kinds, events_kept);
  }
  listeners_ = std::move(listeners);
}

void EventFeed::run() {
  ::pthread_setname_np(::pthread_self(), "events");
  std::vector<Event> room(events_at_once);
  for (bool goes_on = true; goes_on;) {
    Listeners listeners;
    goes_on = wait_for_listeners(listeners);
    // While more and more comes, who listens is asked again now and then.
    for (std::size_t taken = 0; taken < events_kept || !goes_on;) {
      const std::size_t count = engine_.take_events(room, now());
      if (count == 0) break;
      for (const auto& each : listeners) each->take(std::span(room).first(count));
      taken += count;
    }
  }
}

// False when the feed is to end.
bool EventFeed::wait_for_listeners(Listeners& listeners) {
  const Lock lock(mutex_);
  if (!is_stopping_) changed_.wait_for(mutex_, pause);
  while (listeners_.empty() && !is_stopping_) changed_.wait(mutex_);
  listeners = listeners_;
  return !is_stopping_;
}

}  // namespace swnat::nfq
