// Events that one client of the control socket wants, from the feed's thread to the main loop.
//
// Theory of operation
//
// They wait in a ring whose memory is taken at the start. One that finds it full is lost and
// counted; the next that finds room is kept behind an event of the kind `lost` that has the count.
// So neither the feed nor the memory ever depends on how fast the client is, and it learns where in
// its stream something is missing.
#pragma once

#include <span>
#include <vector>

#include "nfq/event_feed.h"
#include "nfq/file_descriptor.h"
#include "swnat/session_pattern.h"

namespace swnat::nfq {

class Watcher : public EventListener {
 public:
  static constexpr std::size_t capacity = 4096;
  static constexpr std::size_t memory_used = capacity * sizeof(Event);

  // Events of these kinds that the pattern means, and what was lost of these kinds. Throws Error
  // and std::bad_alloc.
  Watcher(EventKinds kinds, SessionPattern pattern);

  void take(std::span<const Event> events) override;

  // Moves events to `out`, the oldest first, and returns how many; 0 means that none waited. For
  // the main loop.
  std::size_t drain(std::span<Event> out);
  // An eventfd, readable when some came since the last drain().
  int wakeup() const { return wakeup_.get(); }

 private:
  bool wants(const Event& event) const;
  void keep(const Event& event) SWNAT_REQUIRES(mutex_);
  void push(const Event& event) SWNAT_REQUIRES(mutex_);
  std::size_t room() const SWNAT_REQUIRES(mutex_) { return ring_.size() - count_; }

  SessionPattern pattern_;
  FileDescriptor wakeup_;
  Mutex mutex_;
  std::vector<Event> ring_ SWNAT_GUARDED_BY(mutex_);
  std::size_t first_ SWNAT_GUARDED_BY(mutex_) = 0;
  std::size_t count_ SWNAT_GUARDED_BY(mutex_) = 0;
  Event loss_ SWNAT_GUARDED_BY(mutex_);  // behind the ring's events; count 0: none
};

}  // namespace swnat::nfq
