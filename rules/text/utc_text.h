// A time as records have it, whoever writes or looks for it.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace swnat::rules {

// "2026-11-29T12:00:00.123Z": always as long, so that such texts compare as the times do.
std::string utc_text(std::chrono::sys_time<std::chrono::milliseconds> time);

inline constexpr std::size_t utc_text_length = std::string_view("2026-11-29T12:00:00.123Z").size();

}  // namespace swnat::rules
