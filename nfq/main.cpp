#include "nfq/command_line.h"

int main(int argc, char** argv) {
  return swnat::nfq::run_command_line(argc, argv);
}
