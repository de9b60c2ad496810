// Reading a configuration file whose name may mean anything.
#pragma once

#include <string>

namespace swnat::rules {

// Large enough for as many namespaces as there can be.
inline constexpr std::size_t largest_config = 16 * 1024 * 1024;

struct FileText {
  std::string text;
  std::string error;  // empty, or what is wrong with the file, for people
};

// Only regular files are read. Others may never end, or wait for a writer with all that a daemon
// has to do besides, and opening some devices changes them. A pipe at /dev/stdin is refused too: a
// file is read again on reload. Never waits for anything but the disk.
FileText read_config_file(const std::string& path);

}  // namespace swnat::rules
