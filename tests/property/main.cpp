// Runs the campaigns of random sequences: --seed and --runs choose them.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "tests/property/campaign.h"

namespace {

void read_number(const char* text, std::uint32_t& number) {
  if (text != nullptr) number = static_cast<std::uint32_t>(std::strtoul(text, nullptr, 0));
}

}  // namespace

int main(int argc, char** argv) {
  using swnat::property::campaign;
  read_number(std::getenv("SWNAT_SEED"), campaign.seed);
  read_number(std::getenv("SWNAT_RUNS"), campaign.runs);
  std::vector<const char*> others;
  for (int i = 0; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--seed" && i + 1 < argc) {
      read_number(argv[++i], campaign.seed);
    } else if (argument == "--runs" && i + 1 < argc) {
      read_number(argv[++i], campaign.runs);
    } else {
      others.push_back(argv[i]);
    }
  }
  std::printf("property-test: --seed %u\n", campaign.seed);
  std::fflush(stdout);
  doctest::Context context(static_cast<int>(others.size()), others.data());
  return context.run();
}
