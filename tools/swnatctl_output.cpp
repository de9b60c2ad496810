#include "tools/swnatctl_output.h"

#include <cerrno>
#include <cstdio>
#include <sstream>

namespace swnat::ctl {

int print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return 0;
  // A reader that has seen enough, like head(1), is told nothing.
  if (errno != EPIPE) std::fputs("swnatctl: cannot write to standard output\n", stderr);
  return 1;
}

void print_error(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::fprintf(stderr, "swnatctl: %s\n", line.c_str());
  }
}

}  // namespace swnat::ctl
