// The daemon's lines for people.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "rules/terminal/priority.h"

namespace swnat::nfq {

using rules::Priority;

// From now on lines that standard error does not take at once are lost, and told as a number when
// it takes some again: a daemon must not wait for who reads them.
void log_without_waiting();

// Writes "swnat-nfq: LINE" to standard error, with the priority in front if that is the journal.
// Never fails: there is nobody left to be told. Any thread.
void write_log(Priority priority, std::string_view line);
// The same for what begins with the name of a file, and not with ours.
void write_log_as_it_is(Priority priority, std::string_view line);

template <class... Args>
void log(Priority priority, fmt::format_string<Args...> format, Args&&... args) {
  write_log(priority, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace swnat::nfq
