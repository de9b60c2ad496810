#include "tools/swnatctl_output.h"

#include <cerrno>
#include <cstdio>
#include <sstream>

namespace swnat::ctl {
namespace {

[[noreturn]] void fail() {
  throw OutputError(errno == EPIPE ? "" : "cannot write to standard output");
}

}  // namespace

void write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail();
}

void flush_output() {
  if (std::fflush(stdout) != 0) fail();
}

int print(const std::string& text) {
  try {
    write(text);
    flush_output();
    return 0;
  } catch (const OutputError& failure) {
    print_error(failure.what());
    return 1;
  }
}

void print_error(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::fprintf(stderr, "swnatctl: %s\n", line.c_str());
  }
}

}  // namespace swnat::ctl
