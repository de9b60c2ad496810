// The daemon's lines for people.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace swnat::nfq {

// From now on lines that standard error does not take at once are lost, and told as a number when
// it takes some again: a daemon must not wait for who reads them.
void log_without_waiting();

// Writes "swnat-nfq: LINE" to standard error. Never fails: there is nobody left to be told. Any
// thread.
void write_log(std::string_view line);

template <class... Args>
void log(fmt::format_string<Args...> format, Args&&... args) {
  write_log(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace swnat::nfq
