#include "tools/time_of_day.h"

#include <fmt/format.h>

namespace swnat::ctl {

std::string time_of_day(std::time_t time) {
  std::tm local{};
  ::localtime_r(&time, &local);
  return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

}  // namespace swnat::ctl
