// The clock that epochs are counted by.
#pragma once

#include <ctime>

#include "tools/pcp/book.h"

namespace swnat::pcp {

// Since the machine's start, with the time that it slept.
inline Seconds now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Seconds(time.tv_sec);
}

}  // namespace swnat::pcp
