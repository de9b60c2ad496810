// Text at the end of another.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string>
#include <utility>

namespace swnat::nfq {

template <class... Args>
void append(std::string& text, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
}

}  // namespace swnat::nfq
