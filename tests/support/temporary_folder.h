// A folder below TMPDIR, for as long as this lives.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace swnat::test {

class TemporaryFolder {
 public:
  TemporaryFolder() { REQUIRE_NE(::mkdtemp(name_.data()), nullptr); }
  ~TemporaryFolder() { std::filesystem::remove_all(name_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& file) const { return name_ + "/" + file; }
  const std::string& name() const { return name_; }

 private:
  std::string name_ = std::filesystem::temp_directory_path() / "swnat-XXXXXX";
};

}  // namespace swnat::test
