// A program that hangs is ended and told; one that only takes long is not.
#include "rules/system/process.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "rules/found/listing.h"
#include "rules/found/operators_rules.h"
#include "rules/found/printed_rules.h"
#include "rules/found/queue_rules.h"
#include "rules/kernel/kernel.h"
#include "tests/support/temporary_folder.h"

namespace swnat::rules {
namespace {

// A folder at the head of PATH, and less patience.
class FakePrograms {
 public:
  FakePrograms() : path_(std::getenv("PATH")), idleness_(longest_idleness) {
    setenv("PATH", fmt::format("{}:{}", folder_.name(), path_).c_str(), 1);
    longest_idleness = std::chrono::milliseconds(500);
  }
  ~FakePrograms() {
    setenv("PATH", path_.c_str(), 1);
    longest_idleness = idleness_;
  }
  FakePrograms(const FakePrograms&) = delete;
  FakePrograms& operator=(const FakePrograms&) = delete;

  void add(const std::string& name, const std::string& script) const {
    const std::string file = folder_ / name;
    std::ofstream(file) << "#!/bin/sh\n" << script << '\n';
    chmod(file.c_str(), 0755);
  }

 private:
  test::TemporaryFolder folder_;
  std::string path_;
  std::chrono::milliseconds idleness_;
};

}  // namespace

TEST_CASE("an nft that hangs is ended, with what it started") {
  const FakePrograms programs;
  programs.add("nft", "echo begun; sleep 1000; echo never");
  CHECK_THROWS_WITH_AS(list_nft_rules(), "nft hangs: it computed nothing for 0.5 s, and was ended",
                       KernelError);
}

TEST_CASE("a program that computes may take its time") {
  const FakePrograms programs;
  programs.add("nft", "i=0; while [ $(date +%s%N) -lt $1 ]; do i=$((i + 1)); done; echo $i");
  const auto until = std::chrono::system_clock::now() + std::chrono::milliseconds(1500);
  const auto nanoseconds =
      std::chrono::duration_cast<std::chrono::nanoseconds>(until.time_since_epoch());
  const ProcessResult result = run({"nft", std::to_string(nanoseconds.count())});
  CHECK_EQ(result.exit_code, 0);
  CHECK(!result.output.empty());
}

TEST_CASE("what several looks at others' rules need is asked for once") {
  const FakePrograms programs;
  const test::TemporaryFolder folder;
  const std::string calls = folder / "calls";
  for (const char* name : {"nft", "iptables-save", "ip6tables-save", "ip"}) {
    programs.add(name, fmt::format("echo {} $* >>{}", name, calls));
  }
  Config config;
  config.namespaces.resize(1);
  const auto look = [&] {
    const PrintedRules printed = printed_rules(config);
    CHECK(queue_rules(printed).empty());
    missing_operators_rules(config, printed);
    std::ifstream file(calls);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string others = "nft -t -j list ruleset\niptables-save\nip6tables-save\n";
  config.namespaces[0].interfaces = {"blue0"};
  CHECK_EQ(look(), others);
  config.namespaces[0].interfaces.clear();
  CHECK_EQ(look(), others +
                       "nft -t -j list ruleset\niptables-save\nip -4 -N -json rule show\n"
                       "ip6tables-save\nip -6 -N -json rule show\n");
}

}  // namespace swnat::rules
