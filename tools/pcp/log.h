// Lines for people, on standard error.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace swnat::pcp {

// Writes "swnat-pcp: LINE", or nothing where nobody reads: clients must not wait for that.
void write_log(std::string_view line);

template <class... Args>
void log(fmt::format_string<Args...> format, Args&&... args) {
  write_log(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace swnat::pcp
