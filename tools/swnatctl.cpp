// swnatctl: asks a running swnat-nfq, and shows the answer as text or as JSON.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tools/swnatctl_answer.h"
#include "tools/swnatctl_list.h"
#include "tools/swnatctl_options.h"
#include "tools/swnatctl_rates.h"
#include "tools/swnatctl_stream.h"
#include "tools/swnatctl_text.h"

namespace swnat::ctl {
namespace {

constexpr int exit_usage = 2;
// In seconds. A large file takes some to be read and checked.
constexpr int usual_timeout = 5;
constexpr int long_timeout = 60;

// Options that a command takes.
enum Takes : unsigned {
  nothing = 0,
  pattern = 1,  // which sessions or mappings it is about
  order = 2,    // in which order, and how many
  tenants = 4,  // which namespaces, and over which time
  by = 8,       // counted apart
};

struct Command {
  const char* name;
  const char* help;
  const char* list = nullptr;  // the key that the answer's further lines stand under, if any
  std::string (*text)(const Json& document) = nullptr;
  unsigned takes = nothing;
  ListColumns (*columns)() = nullptr;  // instead of `text`
};

std::string reload_text(const Json& document) {
  return fmt::format("reloaded {}\n", document.at("configuration").get<std::string>());
}

std::string flush_text(const Json& document) {
  const auto ended = document.at("ended").get<std::uint64_t>();
  return fmt::format("ended {} session{}\n", ended, ended == 1 ? "" : "s");
}

std::string metrics_text(const Json& document) {
  return document.at("metrics");
}

constexpr Command commands[] = {
    {"status", "the daemon, its queues, and how full it is", nullptr, status_text},
    {"namespaces", "each namespace's sessions, limits, losses and traffic", "namespaces",
     namespaces_text, tenants},
    {"sessions", "each session with its translation", "sessions", nullptr, pattern | order,
     session_columns},
    {"mappings", "each mapping with the sessions that share it", "mappings", nullptr,
     pattern | order, mapping_columns},
    {"count", "how many sessions there are", nullptr, count_text, pattern | by},
    {"ports", "external ports by what became of them", "ports", nullptr, nothing, port_columns},
    {"flush", "end sessions: all, or those that the options name", nullptr, flush_text, pattern},
    {"stats", "packets by what became of them, and each queue's counters", nullptr, stats_text},
    {"reload", "read the configuration file again, keeping sessions", nullptr, reload_text},
    {"metrics", "all numbers, as text for Prometheus", "metrics", metrics_text},
};

constexpr const char* later_commands[] = {"watch", "top"};

struct Options {
  std::string socket = "/run/swnat/control.sock";
  int timeout = usual_timeout;
  std::optional<JsonForm> json = {};
  std::string columns = {};
  int interval = 0;  // in seconds; 0: no rates
};

// An error may have several faults, one a line.
void print_lines(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::fprintf(stderr, "swnatctl: %s\n", line.c_str());
  }
}

// Nobody ends all sessions by a slip of the hand.
bool is_confirmed(const Json& request) {
  const bool names_some = request.size() > 1;
  if (request.at("command") != "flush" || names_some || ::isatty(STDIN_FILENO) == 0) return true;
  std::fputs("End all sessions of all namespaces? [y/N] ", stderr);
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

// The whole answer as one document.
Json read_all(Answer& answer, const Command& command,
              const std::function<void(Json& item)>& change) {
  Json document = answer.document();
  if (command.list == nullptr) return document;
  const bool is_text = command.text == metrics_text;
  Json& list = document[command.list] = is_text ? Json("") : Json::array();
  while (answer.next()) {
    Json item = answer.item();
    if (change) change(item);
    if (is_text) {
      list.get_ref<std::string&>() += item.at("text").get_ref<const std::string&>();
    } else {
      list.push_back(std::move(item));
    }
  }
  return document;
}

// What a sorted list has left out without being told how many to show.
void tell_left_out(const Answer& answer, const Json& request, std::size_t shown) {
  const auto of = answer.end().value("of", std::uint64_t{shown});
  if (of <= shown || request.contains("limit")) return;
  std::fprintf(stderr, "swnatctl: the first %zu of %s (--limit shows fewer; unsorted, all)\n",
               shown, std::to_string(of).c_str());
}

void print_columns(Answer& answer, const std::vector<ListColumn>& columns, const Json& request) {
  const bool is_unsorted = !request.contains("sort") && request.at("command") != "ports";
  ListText list(columns,
                is_unsorted ? ListText::Order::by_namespace : ListText::Order::as_it_comes);
  std::size_t shown = 0;
  for (; answer.next(); ++shown) list.add(answer.item());
  write(list.text(terminal_width()));
  flush_output();
  tell_left_out(answer, request, shown);
}

void print(Answer& answer, const Command& command, const Json& request, const Options& options,
           const std::vector<ListColumn>& columns, const std::function<void(Json&)>& change) {
  const bool is_list = command.list != nullptr && command.text != metrics_text;
  if (options.json && is_list) {
    write_list(answer, command.list, *options.json, change);
  } else if (command.columns != nullptr) {
    print_columns(answer, columns, request);
  } else {
    const Json document = read_all(answer, command, change);
    const int indent = options.json == JsonForm::lines ? -1 : 2;
    write(options.json ? document.dump(indent) + '\n' : command.text(document));
    flush_output();
  }
}

int run(const Command& command, const Json& request, const Options& options) {
  std::vector<ListColumn> columns;
  try {
    if (command.columns != nullptr) {
      const ListColumns all = command.columns();
      columns = options.columns.empty() ? std::vector(all.begin(), all.end())
                                        : chosen_columns(all, options.columns);
    }
  } catch (const Error& wrong) {
    print_lines(wrong.what());
    return exit_usage;
  }
  try {
    const std::chrono::seconds patience(options.timeout);
    Rates rates;
    const auto before = Rates::Clock::now();
    if (options.interval != 0) {
      Answer first(options.socket, request, patience);
      while (first.next()) rates.note(first.item());
      std::this_thread::sleep_until(before + std::chrono::seconds(options.interval));
    }
    const std::chrono::duration<double> later = Rates::Clock::now() - before;
    std::function<void(Json & item)> change;
    if (options.interval != 0) change = [&](Json& item) { rates.add_to(item, later); };
    Answer answer(options.socket, request, patience);
    print(answer, command, request, options, columns, change);
    return 0;
  } catch (const Json::exception&) {
    std::fprintf(stderr, "swnatctl: %s: the answer is not swnat-nfq's\n", options.socket.c_str());
  } catch (const std::exception& error) {
    print_lines(error.what());
  }
  return 1;
}

void add_options(CLI::App& added, const Command& command, Json& request, Options& options) {
  if ((command.takes & pattern) != 0) add_pattern_options(added, request);
  if ((command.takes & order) != 0) add_order_options(added, request);
  if ((command.takes & tenants) != 0) {
    add_namespace_option(added, request);
    added.add_flag_callback(
        "--all", [&request] { request["all"] = true; }, "also members of ranges that have nothing");
    added
        .add_option("--interval", options.interval,
                    "packets and bytes a second, over that many seconds, instead of all")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 3600));
  }
  if ((command.takes & by) != 0) {
    added
        .add_option_function<std::string>(
            "--by", [&request](const std::string& text) { request["by"] = text; },
            "also apart, by namespace, protocol or state")
        ->type_name("KEY")
        ->check(CLI::IsMember({"namespace", "protocol", "state"}));
  }
  if (command.columns != nullptr) {
    added.add_option("--columns", options.columns, "these, with commas between, as text")
        ->type_name("NAMES");
  }
}

int run_command_line(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error like any other
  Options options;
  CLI::App app("Asks a running swnat-nfq what it does.", "swnatctl");
  app.footer("For example: swnatctl sessions --json | jq '.sessions[] | .external'");
  app.set_version_flag("--version", "swnatctl " SWNAT_VERSION);
  app.add_option("-s,--socket", options.socket, "the daemon's control.socket")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_option("-t,--timeout", options.timeout,
                 "how long the daemon may say nothing; 60 for reload and flush")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  CLI::Option* const json = app.add_flag_callback(
      "-j,--json", [&] { options.json = JsonForm::document; },
      "print one JSON document (times are in seconds)");
  app.add_flag_callback(
         "--json-lines", [&] { options.json = JsonForm::lines; },
         "print JSON, each thing of a list on a line of its own, and nothing around")
      ->excludes(json);
  app.require_subcommand(1);
  app.fallthrough();
  Json request;
  for (const Command& command : commands) {
    add_options(*app.add_subcommand(command.name, command.help), command, request, options);
  }
  for (const char* name : later_commands) app.add_subcommand(name, "not yet supported");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_usage;
  }

  const std::string chosen = app.get_subcommands().front()->get_name();
  const bool takes_long = chosen == "reload" || chosen == "flush";
  if (takes_long && app.count("--timeout") == 0) options.timeout = long_timeout;
  request["command"] = chosen;
  if (!is_confirmed(request)) return 1;
  for (const Command& command : commands) {
    if (chosen == command.name) return run(command, request, options);
  }
  std::fprintf(stderr, "swnatctl: %s: not yet supported\n", chosen.c_str());
  return 1;
}

}  // namespace
}  // namespace swnat::ctl

int main(int argc, char** argv) {
  try {
    return swnat::ctl::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "swnatctl: %s\n", error.what());
    return 1;
  }
}
