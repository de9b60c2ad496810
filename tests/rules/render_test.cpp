// The printed script against a file that people have looked at. With SWNAT_REWRITE_GOLDEN set in
// the environment the files are written instead; then look at the difference.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "rules/kernel/kernel.h"

namespace swnat::rules {
namespace {

const std::string folder = SWNAT_GOLDEN_FOLDER;

void check_golden(const std::string& name, const std::string& text) {
  const std::string path = folder + "/" + name;
  if (std::getenv("SWNAT_REWRITE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  REQUIRE_MESSAGE(file, path);
  std::ostringstream golden;
  golden << file.rdbuf();
  CHECK_MESSAGE(text == golden.str(), path, " differs");
}

Config golden_config(const std::string& name) {
  LoadResult result = load_config(folder + "/" + name);
  for (const ConfigError& error : result.errors) FAIL_CHECK(error.text());
  REQUIRE(result.config);
  // The text must not depend on where the sources lie.
  result.config->file = name;
  return *std::move(result.config);
}

TEST_CASE("rendered rules are as they were approved") {
  for (const std::string name : {"tenants", "hairpin-off", "members"}) {
    const Config config = golden_config(name + ".toml");
    check_golden(name + "-nft.txt", render(config, Format::nft));
    check_golden(name + "-iptables.txt", render(config, Format::iptables));
  }
}

}  // namespace
}  // namespace swnat::rules
