// swnatctl: asks a running swnat-nfq, and shows the answer as text or as JSON.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tools/swnatctl_answer.h"
#include "tools/swnatctl_list.h"
#include "tools/swnatctl_options.h"
#include "tools/swnatctl_output.h"
#include "tools/swnatctl_rates.h"
#include "tools/swnatctl_rules.h"
#include "tools/swnatctl_stream.h"
#include "tools/swnatctl_text.h"
#include "tools/swnatctl_top.h"
#include "tools/swnatctl_watch.h"
#include "tools/who.h"

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
  std::string_view name;
  const char* help;
  const char* list = nullptr;  // the key that the answer's further lines stand under, if any
  std::string (*text)(const Json& document) = nullptr;
  unsigned takes = nothing;
  ListColumns (*columns)() = nullptr;  // instead of `text`
};

std::string reload_text(const Json& document) {
  const auto file = document.at("configuration").get<std::string>();
  std::string text = fmt::format("reloaded {}\n", file);
  for (const Json& change : document.at("changes")) {
    text += fmt::format("  {}\n", change.get<std::string>());
  }
  if (document.at("changes").empty()) text += "  nothing changed\n";
  if (document.at("wants_up") == true) {
    text += fmt::format("the kernel's rules for it differ; apply them: swnat-nfq up --config {}\n",
                        file);
  }
  return text;
}

std::string flush_text(const Json& document) {
  const auto ended = document.at("ended").get<std::uint64_t>();
  return fmt::format("ended {} session{}\n", ended, ended == 1 ? "" : "s");
}

std::string metrics_text(const Json& document) {
  return document.at("metrics");
}

std::string log_text(const Json& document) {
  const auto number = [](const Json& value) { return value.get<std::uint64_t>(); };
  std::string text = fmt::format("records: {}\nlost: {}\n", number(document.at("records")),
                                 number(document.at("lost")));
  for (const auto& [name, output] : document.at("outputs").items()) {
    text += fmt::format("{}: {} records, {} lost, {} errors\n", name, number(output.at("records")),
                        number(output.at("lost")), number(output.at("errors")));
  }
  return text;
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
    {"log", "how the mapping log fares; reopen: begin its file anew", nullptr, log_text},
};

// As the daemon calls them.
constexpr Command rule_commands[] = {
    {"forward-add", "", nullptr, added_forward_text},
    {"forward-remove", "", nullptr, removed_text},
    {"forward-list", "", "forwards", nullptr, nothing, forward_columns},
    {"drop-add", "", nullptr, added_drop_text},
    {"drop-remove", "", nullptr, removed_text},
    {"drop-list", "", "drops", nullptr, nothing, drop_columns},
};

struct Options {
  std::string socket = "/run/swnat/control.sock";
  int timeout = usual_timeout;
  std::optional<JsonForm> json = {};
  std::string columns = {};
  int interval = 0;  // in seconds; 0: no rates
};

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
  const bool has_order = request.at("command") == "sessions" || request.at("command") == "mappings";
  const bool is_unsorted = has_order && !request.contains("sort");
  ListText list(columns,
                is_unsorted ? ListText::Order::by_namespace : ListText::Order::as_it_comes);
  std::size_t shown = 0;
  for (; answer.next(); ++shown) list.add(answer.item());
  write(list.text(terminal_width()));
  flush_output();
  tell_left_out(answer, request, shown);
}

void print_answer(Answer& answer, const Command& command, const Json& request,
                  const Options& options, const std::vector<ListColumn>& columns,
                  const std::function<void(Json&)>& change) {
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

std::vector<ListColumn> wanted_columns(const Command& command, const Options& options) {
  if (command.columns == nullptr) return {};
  const ListColumns all = command.columns();
  return options.columns.empty() ? std::vector(all.begin(), all.end())
                                 : chosen_columns(all, options.columns);
}

void show(const Command& command, const Json& request, const Options& options,
          const std::vector<ListColumn>& columns) {
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
  print_answer(answer, command, request, options, columns, change);
}

int show_who(const WhoOptions& wanted, const Options& options) {
  const std::chrono::seconds patience(options.timeout);
  const WhoAnswer answer = who(wanted, options.socket, patience, options.json.has_value());
  print_error(answer.notes);
  const int status = print(answer.text);
  return status == 0 && !answer.found ? 1 : status;
}

// What asks the daemon, with its errors as lines for people.
int run(const std::string& socket, const std::function<int()>& command) {
  try {
    return command();
  } catch (const Json::exception&) {
    std::fprintf(stderr, "swnatctl: %s: the answer is not swnat-nfq's\n", socket.c_str());
  } catch (const std::exception& error) {
    print_error(error.what());
  }
  return 1;
}

int run(const Command& command, const Json& request, const Options& options) {
  std::vector<ListColumn> columns;
  try {
    columns = wanted_columns(command, options);
  } catch (const Error& wrong) {
    print_error(wrong.what());
    return exit_usage;
  }
  return run(options.socket, [&] {
    show(command, request, options, columns);
    return 0;
  });
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
      "print one JSON document, of watch an object a line (times are in seconds)");
  app.add_flag_callback(
         "--json-lines", [&] { options.json = JsonForm::lines; },
         "print JSON, each thing of a list on a line of its own, and nothing around")
      ->excludes(json);
  app.require_subcommand(1);
  app.fallthrough();
  Json request;
  for (const Command& command : commands) {
    add_options(*app.add_subcommand(std::string(command.name), command.help), command, request,
                options);
  }
  std::string log_action;
  app.get_subcommand("log")
      ->add_option_function<std::string>(
          "action", [&](const std::string& text) { log_action = "-" + text; }, "reopen")
      ->check(CLI::IsMember({"reopen"}))
      ->type_name("ACTION");
  add_rule_commands(app, request);
  WhoOptions who_options;
  add_who(app, who_options);
  add_watch_options(*app.add_subcommand("watch", "mappings and sessions as they come and go"),
                    request);
  TopOptions top_options;
  add_top_options(*app.add_subcommand("top", "who sends and receives most, live"), top_options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_usage;
  }

  const std::string chosen = app.get_subcommands().front()->get_name();
  const bool takes_long = chosen == "reload" || chosen == "flush";
  if (takes_long && app.count("--timeout") == 0) options.timeout = long_timeout;
  const std::chrono::seconds patience(options.timeout);
  if (chosen == "who") {
    return run(options.socket, [&] { return show_who(who_options, options); });
  }
  if (chosen == "forward" || chosen == "drop") {
    const auto* command =
        std::ranges::find(rule_commands, request["command"].get<std::string>(), &Command::name);
    return run(*command, request, options);
  }
  request["command"] = chosen + log_action;
  if (!is_confirmed(request)) return 1;
  if (chosen == "watch") {
    return run(options.socket,
               [&] { return watch(options.socket, request, patience, options.json.has_value()); });
  }
  if (chosen == "top") {
    if (options.json) {
      print_error("top has no JSON; ask for it: swnatctl namespaces --json");
      return exit_usage;
    }
    return run(options.socket, [&] { return top(options.socket, patience, top_options); });
  }
  const auto* command = std::ranges::find(commands, chosen, &Command::name);
  return run(*command, request, options);
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
