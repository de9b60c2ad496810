// The clock that the engine is told.
#pragma once

#include <ctime>

#include "swnat/engine.h"

namespace swnat::nfq {

// The engine's time: since boot, counting the time that the machine was suspended, because the
// remote ends of sessions were not.
inline Time now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::duration_cast<Time>(std::chrono::seconds(time.tv_sec) +
                                          std::chrono::nanoseconds(time.tv_nsec));
}

}  // namespace swnat::nfq
