// Lines for people, on standard error.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "rules/terminal/priority.h"

namespace swnat::pcp {

using rules::Priority;

// Writes "swnat-pcp: LINE", with the priority in front if that is the journal, or nothing where
// nobody reads: clients must not wait for that.
void write_log(Priority priority, std::string_view line);

template <class... Args>
void log(Priority priority, fmt::format_string<Args...> format, Args&&... args) {
  write_log(priority, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace swnat::pcp
