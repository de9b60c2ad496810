// Tells all tenants that the epoch began anew: ten times, at growing intervals (RFC 6886 section
// 3.2.1, RFC 6887 section 14.1), some links at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tools/pcp/event_loop.h"
#include "tools/pcp/links.h"
#include "tools/pcp/server.h"

namespace swnat::pcp {

class Announcer {
 public:
  static constexpr int times = 10;
  static constexpr std::uint64_t first_pause = 250'000;  // in microseconds; each is twice the last

  // All must outlive this. Throws Error.
  Announcer(sd_event* loop, Links& links, const Server& server);

  // From the beginning, also if it is at it.
  void begin();

 private:
  static int on_time(sd_event_source*, std::uint64_t, void* self);
  void go_on();

  Links& links_;
  const Server& server_;
  Source timer_;
  int times_left_ = 0;
  std::uint64_t pause_ = 0;
  unsigned next_link_ = 0;  // of this time: those with lower numbers are told
};

}  // namespace swnat::pcp
