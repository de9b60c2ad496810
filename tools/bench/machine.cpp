#include "tools/bench/machine.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <ctime>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

namespace swnat::bench {
namespace {

// The first CPU's, of a line "name : value"; empty if there is none.
std::string cpu_value(std::string_view name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const std::size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return {};
}

}  // namespace

Machine this_machine() {
  utsname system{};
  uname(&system);
  std::string model = cpu_value("model name");
  if (model.empty()) model = fmt::format("unknown {}", system.machine);
  const unsigned count = std::thread::hardware_concurrency();
  return {.cpus = fmt::format("{}, {} CPU{}", model, count, count == 1 ? "" : "s"),
          .has_avx2 = (cpu_value("flags") + ' ').find(" avx2 ") != std::string::npos,
          .kernel = fmt::format("{} {}", system.sysname, system.release),
          .compiler = SWNAT_COMPILER};
}

std::string date_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace swnat::bench
