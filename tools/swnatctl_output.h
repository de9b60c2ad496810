// What swnatctl writes, and to whom.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace swnat::ctl {

// Standard output takes no more. `what()` is empty for a reader that has seen enough, like head(1).
class OutputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws OutputError.
void write(std::string_view text);
void flush_output();

// Both, at once. Returns the exit status: who reads may be gone.
int print(const std::string& text);

// An error, to standard error. It may have several faults, one a line.
void print_error(const std::string& text);

}  // namespace swnat::ctl
