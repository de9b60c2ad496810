// What swnatctl writes, and to whom.
#pragma once

#include <string>

namespace swnat::ctl {

// To standard output, at once. Returns the exit status: who reads may be gone.
int print(const std::string& text);

// An error, to standard error. It may have several faults, one a line.
void print_error(const std::string& text);

}  // namespace swnat::ctl
