// The mapping log's file and its rotated siblings, line by line, the oldest first.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace swnat::ctl {

struct RecordFiles {
  std::vector<std::string> paths;    // by the time of their first record
  std::vector<std::string> skipped;  // siblings that are neither plain nor compressed by gzip
};

// FILE, and what lies beside it as FILE.1, FILE.2.gz, FILE-20261129.gz and the like. Throws Error
// if there is none, or if one cannot be read.
RecordFiles find_records(const std::string& file);

// Calls `take` with each line, without its end, until it returns false, and then returns false.
// Throws Error if the file cannot be read to its end.
bool read_lines(const std::string& path, const std::function<bool(std::string_view)>& take);

}  // namespace swnat::ctl
