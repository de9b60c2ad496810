// Reading sysctls, also those of thousands of interfaces.
//
// Theory of operation
//
// The kernel tells of the interfaces' sysctls when it lists interfaces, all at once, where a file
// for each costs more than all else that `up` asks. What is not told there is read from its file.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace swnat::rules {

class SysctlReader {
 public:
  // As read_sysctl(); those of interfaces as they were when the first of them was asked for.
  // Throws KernelError.
  std::optional<std::string> read(std::string_view name);
  // That this one was written to, so that what it changed is seen.
  void wrote(std::string_view name);

 private:
  static constexpr std::size_t known_count = 4;
  // By their place in the list of those that are known.
  using Values = std::array<std::optional<std::int32_t>, known_count>;
  using Listed = std::map<std::string, Values, std::less<>>;

  struct KnownSysctl {
    std::string_view interface;
    std::size_t place = 0;
  };

  static Listed list();
  static std::optional<KnownSysctl> known_of(std::string_view name);

  std::optional<Listed> listed_;
};

}  // namespace swnat::rules
