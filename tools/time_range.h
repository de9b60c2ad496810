// A time that somebody asks about, as exactly as it was written.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace swnat::ctl {

// Both ends as records of the mapping log have them, "2026-11-29T12:00:00.000Z", so that they
// compare as texts. What was written without seconds means the whole minute, and so on.
struct TimeRange {
  std::string first;
  std::string last;
};

// RFC 3339, or the same with a space for the T, without seconds, or without a zone, which is then
// UTC as in the records. Throws Error, which says what is allowed.
TimeRange parse_time(std::string_view text);
TimeRange range_of(std::chrono::system_clock::time_point time);

}  // namespace swnat::ctl
