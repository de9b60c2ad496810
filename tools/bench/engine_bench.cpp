// engine-bench: what the engine costs, beside what the memory alone would.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tools/bench/document.h"
#include "tools/bench/report.h"
#include "tools/bench/rows.h"

namespace swnat::bench {
namespace {

constexpr int exit_usage = 2;

struct Group {
  std::string_view name;  // of its rows, up to the first "/"
  Rows (*measure)(const Effort& effort);
  std::string_view other_name = {};  // of the rest of its rows
};

constexpr Group groups[] = {
    {"memory", memory},          {"established", established},
    {"threads", threads},        {"new-session", new_session, "first-answer"},
    {"evict-and-create", evict}, {"expire", expiry, "longest"},
    {"take-port", ports},        {"icmp-error", errors},
    {"fragment", fragments},     {"checksum", sums},
    {"baseline", baseline},
};

struct Options {
  bool as_json = false;
  bool is_quick = false;
  std::string only;  // what names of rows begin with
  std::string from;  // file
};

bool may_begin(std::string_view name, std::string_view prefix) {
  const std::size_t length = std::min(name.size(), prefix.size());
  return !name.empty() && name.substr(0, length) == prefix.substr(0, length) &&
         (prefix.size() <= name.size() || prefix[name.size()] == '/');
}

bool has_rows(const Group& group, std::string_view prefix) {
  return may_begin(group.name, prefix) || may_begin(group.other_name, prefix);
}

// An error, or nothing, as CLI11 wants it.
std::string unknown_rows(const std::string& prefix) {
  std::string names;
  for (const Group& group : groups) {
    if (has_rows(group, prefix)) return {};
    names += fmt::format(" {}", group.name);
    if (!group.other_name.empty()) names += fmt::format(" {}", group.other_name);
  }
  return fmt::format("no rows are named {}…; there are:{}", prefix, names);
}

Run measure(const Options& options) {
  const Effort effort = options.is_quick
                            ? Effort{.rounds = 5, .packets = 1 << 16, .is_quick = true}
                            : Effort{.rounds = 7, .packets = 1 << 18, .is_quick = false};
  Run run{.machine = this_machine(),
          .date = date_now(),
          .is_quick = effort.is_quick,
          .rounds = effort.rounds,
          .rows = {}};
  const bool has_watcher = ::isatty(STDERR_FILENO) != 0;
  for (const Group& group : groups) {
    if (!has_rows(group, options.only)) continue;
    if (has_watcher) fmt::print(stderr, "engine-bench: measuring {}\n", group.name);
    for (Row& row : group.measure(effort)) {
      if (row.name.starts_with(options.only)) run.rows.push_back(std::move(row));
    }
  }
  if (run.rows.empty()) {
    throw std::runtime_error(fmt::format("no rows are named {}…", options.only));
  }
  return run;
}

Run read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(fmt::format("{}: cannot be read", path));
  try {
    return run_of(Json::parse(file));
  } catch (const Json::exception& error) {
    throw std::runtime_error(
        fmt::format("{}: not what engine-bench --json prints: {}", path, error.what()));
  }
}

void print(const std::string& text) {
  const bool is_written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!is_written || std::fflush(stdout) != 0) {
    throw std::runtime_error("cannot write to standard output");
  }
}

// https://no-color.org
bool are_colours_wanted() {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  const std::string_view terminal = variable("TERM");
  return ::isatty(STDOUT_FILENO) != 0 && variable("NO_COLOR").empty() && !terminal.empty() &&
         terminal != "dumb";
}

void work(const Options& options) {
  const Run run = options.from.empty() ? measure(options) : read(options.from);
  const bool has_colours = are_colours_wanted();
  print(options.as_json ? document_of(run).dump(2) + '\n'
                        : report_text(run, has_colours ? Colours::terminal : Colours::none));
}

int run_command_line(int argc, char** argv) {
  Options options;
  CLI::App app("Measures what the engine costs, beside what the memory alone would.",
               "engine-bench");
  app.footer(
      "The reference of most rows is the floor: batched, prefetched, random touches of two cache\n"
      "lines in a table of the same size. For example: engine-bench --only new-session");
  app.add_flag("-j,--json", options.as_json, "print one JSON document");
  auto* quick = app.add_flag("-q,--quick", options.is_quick,
                             "a minute at most: fewer packets, no 4 M tables");
  auto* only = app.add_option("--only", options.only, "measure rows whose names begin with this")
                   ->type_name("PREFIX")
                   ->check(unknown_rows);
  app.add_option("--from", options.from, "show what --json printed earlier instead of measuring")
      ->type_name("FILE")
      ->excludes(quick)
      ->excludes(only);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_usage;
  }
  work(options);
  return 0;
}

}  // namespace
}  // namespace swnat::bench

int main(int argc, char** argv) {
  try {
    return swnat::bench::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "engine-bench: %s\n", error.what());
    return 1;
  }
}
