#include <cstdio>
#include <exception>

#include "nfq/command_line.h"

int main(int argc, char** argv) {
  try {
    return swnat::nfq::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "swnat-nfq: %s\n", error.what());
    return 1;
  }
}
