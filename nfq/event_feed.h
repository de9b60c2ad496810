// What the engine tells of mappings, sessions and blocks, handed to whoever listens.
//
// Theory of operation
//
// The engine keeps events for one reader. This is it: a thread that asks some fifty times a second,
// and hands what it gets to all listeners, one after the other. While there is none it sleeps, and
// the engine makes no events; else it makes those of the kinds that any of them wants. At
// the end they are told what happened until then. A listener that is slow makes the engine's memory
// run full, and never a packet wait: what found no room is told as an event of the kind `lost`.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "engine/base/lock.h"
#include "swnat/engine.h"

namespace swnat::nfq {

class EventListener {
 public:
  explicit EventListener(EventKinds kinds) : kinds_(kinds) {}
  virtual ~EventListener() = default;

  EventKinds kinds() const { return kinds_; }

  // Called in the feed's thread, and never twice at a time. There are events of other kinds among
  // them if others listen for these. The next come only when this has returned. It must not throw.
  virtual void take(std::span<const Event> events) = 0;

 private:
  EventKinds kinds_;
};

// Functions: any thread.
class EventFeed {
 public:
  // What the engine keeps for each shard and family until this asks again; a third of a second's at
  // 50,000 new sessions a second in one shard.
  static constexpr std::uint32_t events_kept = 32'768;

  // What the engine takes for them in so many shards, while anybody listens.
  static constexpr std::size_t memory_used(std::uint32_t shards) {
    return (2 * std::size_t{shards} + 1) * events_kept * sizeof(Event);  // and one for blocks
  }

  // The engine must outlive this.
  explicit EventFeed(Engine& engine);
  ~EventFeed();
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;

  // From now on the listener is told, perhaps also of what happened just before. Throws
  // std::bad_alloc and std::system_error, and then it is not.
  void add(std::shared_ptr<EventListener> listener);
  // A call that has begun may still be under way afterwards.
  void remove(const EventListener* listener);
  // The same as both, with no event between them; `former` may be null. Throws as add() does.
  void replace(const EventListener* former, std::shared_ptr<EventListener> listener);

 private:
  using Listeners = std::vector<std::shared_ptr<EventListener>>;

  void set_listeners(Listeners listeners) SWNAT_REQUIRES(mutex_);
  void run();
  bool wait();
  std::shared_ptr<const Listeners> listeners();

  Engine& engine_;
  std::vector<Event> room_;  // the thread's
  Mutex mutex_;
  std::shared_ptr<const Listeners> listeners_ SWNAT_GUARDED_BY(mutex_);
  bool is_stopping_ SWNAT_GUARDED_BY(mutex_) = false;
  std::condition_variable_any changed_;
  std::thread thread_ SWNAT_GUARDED_BY(mutex_);  // since the first listener
};

}  // namespace swnat::nfq
