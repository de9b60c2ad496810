// The mapping log's file and its rotated siblings, line by line, the oldest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace swnat::ctl {

struct RecordFiles {
  std::vector<std::string> paths;    // by the time of their first record
  std::vector<std::string> skipped;  // siblings that are neither plain nor compressed by gzip
  std::vector<std::string> faults;   // of those that cannot be read, which are in neither list
};

// FILE, and what lies beside it as FILE.1, FILE.2.gz, FILE-20261129.gz and the like. Throws Error
// if there is none.
RecordFiles find_records(const std::string& file);

// Records are a hundredth of it.
inline constexpr std::size_t longest_line = 65536;

// Calls `take` with each line, without its end, until it returns false. Longer lines than the
// longest are left out; returns how many these were. Throws Error if the file cannot be read to its
// end. Takes a megabyte or two, however much a compressed file holds.
std::uint64_t read_lines(const std::string& path,
                         const std::function<bool(std::string_view)>& take);

}  // namespace swnat::ctl
