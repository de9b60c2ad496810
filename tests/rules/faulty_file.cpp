#include "tests/rules/faulty_file.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/support/temporary_file.h"

namespace swnat::rules {

std::vector<std::string> faults(std::string_view text) {
  const test::TemporaryFile file(text);
  const LoadResult result = load_config(file.path());
  CHECK(result.config.has_value() == result.errors.empty());
  std::vector<std::string> lines;
  for (const ConfigError& error : result.errors) {
    CHECK(error.file == file.path());
    CHECK(error.text() == fmt::format("{}:{}: {}", error.file, error.line, error.message));
    lines.push_back(fmt::format("{}: {}", error.line, error.message));
  }
  return lines;
}

void check(const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    INFO(each.name);
    const std::vector<std::string> found = faults(each.text);
    CHECK(fmt::format("{}", fmt::join(found, "\n")) ==
          fmt::format("{}", fmt::join(each.expected, "\n")));
  }
}

std::string base(std::string_view more) {
  return fmt::format(
      "[external]\ninterface = \"wan0\"\naddresses = [\"203.0.113.1\"]\n"
      "[[namespace]]\nname = \"blue\"\nfwmark = 1\n{}\n",
      more);
}

std::string second(std::string_view name, std::string_view fwmark, std::string_view more) {
  return base(fmt::format("[[namespace]]\nname = \"{}\"\nfwmark = {}\n{}", name, fwmark, more));
}

std::string external(std::string_view lines) {
  return fmt::format("[external]\n{}\n[[namespace]]\nname = \"blue\"\nfwmark = 1\n", lines);
}

std::string wan(std::string_view addresses, std::string_view more) {
  return external(fmt::format("interface = \"wan0\"\naddresses = {}\n{}", addresses, more));
}

}  // namespace swnat::rules
