#pragma once

#include <fmt/format.h>

#include <string_view>

namespace swnat::nfq {

// Writes "swnat-nfq: LINE" to standard error, whole lines only. Never fails: there is nobody left
// to be told.
void write_log(std::string_view line);

template <class... Args>
void log(fmt::format_string<Args...> format, Args&&... args) {
  write_log(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace swnat::nfq
