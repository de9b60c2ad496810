#include "tests/rules/temporary_file.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

namespace swnat::rules {

TemporaryFile::TemporaryFile(std::string_view text) : path_("/tmp/swnat-rules-test-XXXXXX") {
  const int fd = mkstemp(path_.data());
  REQUIRE(fd >= 0);
  close(fd);
  std::ofstream(path_) << text;
}

TemporaryFile::~TemporaryFile() {
  unlink(path_.c_str());
}

}  // namespace swnat::rules
