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

EventFeed::EventFeed(Engine& engine)
    : engine_(engine), room_(events_at_once), listeners_(std::make_shared<const Listeners>()) {}

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
  Listeners listeners = *listeners_;
  std::erase_if(listeners, [&](const auto& each) { return each.get() == former; });
  listeners.push_back(std::move(listener));
  set_listeners(std::move(listeners));
  changed_.notify_all();
}

void EventFeed::remove(const EventListener* listener) {
  const Lock lock(mutex_);
  Listeners listeners = *listeners_;
  std::erase_if(listeners, [&](const auto& each) { return each.get() == listener; });
  set_listeners(std::move(listeners));
}

void EventFeed::set_listeners(Listeners listeners) {
  EventKinds kinds;
  for (const auto& each : listeners) kinds = kinds | each->kinds();
  const auto next = std::make_shared<const Listeners>(std::move(listeners));
  if (next->empty()) {
    engine_.stop_listening();
  } else {
    engine_.listen(kinds, events_kept);
  }
  listeners_ = next;
}

// Who listens is asked after events were taken, so that whoever is added is told all that comes
// then. Takes no memory: there may be none.
void EventFeed::run() {
  ::pthread_setname_np(::pthread_self(), "events");
  for (bool goes_on = true; goes_on;) {
    goes_on = wait();
    while (const std::size_t count = engine_.take_events(room_, now())) {
      const auto all = listeners();
      for (const auto& each : *all) each->take(std::span(room_).first(count));
    }
  }
}

// Until there may be events. False when the feed is to end.
bool EventFeed::wait() {
  const Lock lock(mutex_);
  if (!is_stopping_) changed_.wait_for(mutex_, pause);
  while (listeners_->empty() && !is_stopping_) changed_.wait(mutex_);
  return !is_stopping_;
}

std::shared_ptr<const EventFeed::Listeners> EventFeed::listeners() {
  const Lock lock(mutex_);
  return listeners_;
}

}  // namespace swnat::nfq
