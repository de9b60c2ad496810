// A file with a given text, for as long as this lives.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include "tests/support/temporary_folder.h"

namespace swnat::test {

class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view text) { std::ofstream(path_) << text; }

  const std::string& path() const { return path_; }

 private:
  TemporaryFolder folder_;
  std::string path_ = folder_ / "file";
};

}  // namespace swnat::test
