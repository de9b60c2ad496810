// Mutexes whose rules clang checks: what is SWNAT_GUARDED_BY a mutex is touched, and what
// SWNAT_REQUIRES one is called, only where it is held (-Wthread-safety).
#pragma once

#include <mutex>

#ifdef __clang__
#define SWNAT_THREAD_ATTRIBUTE(attribute) __attribute__((attribute))
#else
#define SWNAT_THREAD_ATTRIBUTE(attribute)
#endif

#define SWNAT_GUARDED_BY(mutex) SWNAT_THREAD_ATTRIBUTE(guarded_by(mutex))
#define SWNAT_REQUIRES(mutex) SWNAT_THREAD_ATTRIBUTE(requires_capability(mutex))

namespace swnat {

class SWNAT_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void lock() SWNAT_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() SWNAT_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  bool try_lock() SWNAT_THREAD_ATTRIBUTE(try_acquire_capability(true)) { return mutex_.try_lock(); }

 private:
  std::mutex mutex_;
};

// Holds a mutex for as long as it lives.
class SWNAT_THREAD_ATTRIBUTE(scoped_lockable) Lock {
 public:
  explicit Lock(Mutex& mutex) SWNAT_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~Lock() SWNAT_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& mutex_;
};

// The same for a mutex that is mostly free, and else soon. A shard is held for one batch: about as
// long as it takes to put a thread to sleep, and less than it takes to wake it up. So who finds it
// taken tries for some microseconds before it sleeps.
class SWNAT_THREAD_ATTRIBUTE(scoped_lockable) SoonLock {
 public:
  explicit SoonLock(Mutex& mutex) SWNAT_THREAD_ATTRIBUTE(acquire_capability(mutex))
      : mutex_(mutex) {
    constexpr int attempts = 100;
    for (int attempt = 0; attempt <= attempts; ++attempt) {
      if (mutex_.try_lock()) return;
#ifdef __x86_64__
      __builtin_ia32_pause();
#endif
    }
    mutex_.lock();
  }
  ~SoonLock() SWNAT_THREAD_ATTRIBUTE(release_capability()) {
    mutex_.unlock();
  }
  SoonLock(const SoonLock&) = delete;
  SoonLock& operator=(const SoonLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace swnat
