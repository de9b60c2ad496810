// The faults found in a configuration file so far.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/config/config.h"
#include "rules/text/printable.h"

namespace swnat::rules {

// A value and the line that it stands in.
template <class T>
struct Located {
  T value{};
  std::uint32_t line = 0;
};

class Faults {
 public:
  explicit Faults(std::string file) : file_(std::move(file)) {}

  void add(std::uint32_t line, std::string_view message) {
    errors_.push_back({file_, line, printable(message)});
  }
  // As if the others had been found when there were `place` of these.
  void insert(std::size_t place, Faults others) {
    errors_.insert(errors_.begin() + static_cast<std::ptrdiff_t>(place),
                   std::make_move_iterator(others.errors_.begin()),
                   std::make_move_iterator(others.errors_.end()));
  }
  std::size_t size() const { return errors_.size(); }
  bool empty() const { return errors_.empty(); }
  const std::string& file() const { return file_; }

  std::vector<ConfigError> by_line() && {
    std::stable_sort(errors_.begin(), errors_.end(),
                     [](const ConfigError& a, const ConfigError& b) { return a.line < b.line; });
    return std::move(errors_);
  }

 private:
  std::string file_;
  std::vector<ConfigError> errors_;
};

}  // namespace swnat::rules
