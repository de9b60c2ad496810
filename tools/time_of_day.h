// The time of day for people.
#pragma once

#include <ctime>
#include <string>

namespace swnat::ctl {

// Where they live: "23:59:59".
std::string time_of_day(std::time_t time);

}  // namespace swnat::ctl
