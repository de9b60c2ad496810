// The program swnat-nfq.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "nfq/command_line.h"

namespace {

// Where the starter has closed a standard stream, the first file opened would take its place, and a
// line of text meant for people would be written into the state or to the kernel.
void open_standard_streams() {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  try {
    return swnat::nfq::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "swnat-nfq: %s\n", error.what());
    return 1;
  }
}
