#include "rules/text/utc_text.h"

#include <fmt/format.h>

#include <ctime>

namespace swnat::rules {

std::string utc_text(std::chrono::sys_time<std::chrono::milliseconds> time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  const std::time_t whole = std::chrono::system_clock::to_time_t(second);
  std::tm parts{};
  ::gmtime_r(&whole, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     (time - second).count());
}

}  // namespace swnat::rules
