// Taking a lock that is mostly free, and else soon.
#pragma once

#include <mutex>

namespace swnat {

// A shard is held for one batch: about as long as it takes to put a thread to sleep, and less than
// it takes to wake it up. So who finds it taken tries for some microseconds before it sleeps.
inline std::unique_lock<std::mutex> lock_soon(std::mutex& mutex) {
  constexpr int attempts = 100;
  std::unique_lock<std::mutex> lock(mutex, std::try_to_lock);
  for (int attempt = 0; !lock && attempt < attempts; ++attempt) {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
    lock.try_lock();
  }
  if (!lock) lock.lock();
  return lock;
}

}  // namespace swnat
