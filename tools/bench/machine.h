// Where figures come from: without that they say nothing.
#pragma once

#include <string>

namespace swnat::bench {

struct Machine {
  std::string cpus;  // model and number
  bool has_avx2 = false;
  std::string kernel;
  std::string compiler;  // and how it was told to build
};

Machine this_machine();

// UTC, ISO 8601.
std::string date_now();

}  // namespace swnat::bench
