// swnatctl: asks a running swnat-nfq, and shows the answer as text or as JSON.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include "tools/swnatctl_answer.h"
#include "tools/swnatctl_connection.h"
#include "tools/swnatctl_output.h"
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

struct Command {
  const char* name;
  const char* help;
  const char* list = nullptr;  // the key that the answer's further lines stand under, if any
  std::string (*text)(const Json& document) = nullptr;
  bool takes_pattern = false;  // which sessions it is about
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
    {"namespaces", "each namespace's sessions and limit", "namespaces", namespaces_text},
    {"sessions", "each session with its translation", "sessions", sessions_text, true},
    {"flush", "end sessions: all, or those that the options name", nullptr, flush_text, true},
    {"stats", "packets by what became of them, and each queue's counters", nullptr, stats_text},
    {"reload", "read the configuration file again, keeping sessions", nullptr, reload_text},
    {"metrics", "all numbers, as text for Prometheus", "metrics", metrics_text},
    {"log", "how the mapping log fares; reopen: begin its file anew", nullptr, log_text},
};

constexpr const char* later_commands[] = {"mappings"};

struct PatternOption {
  const char* name;  // without "--"; the request's key
  const char* type;
  const char* help;
  bool is_momentary = false;  // a session is so now and not then: no events are chosen by it
};

constexpr PatternOption pattern_options[] = {
    {"namespace", "NAME", "of this namespace; a range's name means all its members"},
    {"protocol", "PROTOCOL", "tcp, udp, icmp (of either family), another name or a number"},
    {"internal", "ENDPOINT", "an address or network, :PORT or :FIRST-LAST, or both"},
    {"external", "ENDPOINT", "likewise"},
    {"remote", "ENDPOINT", "likewise"},
    {"state", "STATE", "active, opening, established, half-closed, closing or reset", true},
    {"idle", "TIME", "idle for at least that long, like 5m; <5m: for less", true},
};

constexpr PatternOption events_option{"events", "KINDS",
                                      "of mapping,session,refused,block; without it all"};

// The whole answer as one document.
Json ask(const std::string& socket, const Command& command, const Json& request,
         std::chrono::seconds patience) {
  Connection connection(socket, text_of_request(request), patience);
  Json document = take_first_line(connection, socket);
  if (command.list == nullptr) return document;
  const bool is_text = command.text == metrics_text;
  Json& list = document[command.list] = is_text ? Json("") : Json::array();
  for (;;) {
    const auto line = connection.next_line();
    if (!line) {
      throw Error(fmt::format("{}: the daemon ended its answer early; try again", socket));
    }
    Json item = Json::parse(*line);
    if (item.contains("end")) return document;
    if (is_text) {
      list.get_ref<std::string&>() += item.at("text").get_ref<const std::string&>();
    } else {
      list.push_back(std::move(item));
    }
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

int show_who(const std::string& socket, const WhoOptions& options, std::chrono::seconds patience,
             bool as_json) {
  const WhoAnswer answer = who(options, socket, patience, as_json);
  print_error(answer.notes);
  const int status = print(answer.text);
  return status == 0 && !answer.found ? 1 : status;
}

int show(const std::string& socket, const Command& command, const Json& request,
         std::chrono::seconds patience, bool as_json) {
  const Json document = ask(socket, command, request, patience);
  return print(as_json ? document.dump(2) + '\n' : command.text(document));
}

void add_option(CLI::App& command, const PatternOption& option, Json& request) {
  const auto take = [&request, &option](const std::string& text) { request[option.name] = text; };
  command.add_option_function<std::string>(std::string("--") + option.name, take, option.help)
      ->type_name(option.type);
}

void add_watch(CLI::App& app, Json& request) {
  CLI::App* added = app.add_subcommand("watch", "mappings and sessions as they come and go");
  for (const PatternOption& option : pattern_options) {
    if (!option.is_momentary) add_option(*added, option, request);
  }
  add_option(*added, events_option, request);
}

int refuse(const std::string& why) {
  print_error(why);
  return exit_usage;
}

int run_command_line(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error like any other
  std::string socket = "/run/swnat/control.sock";
  int timeout = usual_timeout;
  bool as_json = false;
  CLI::App app("Asks a running swnat-nfq what it does.", "swnatctl");
  app.footer("For example: swnatctl sessions --json | jq '.sessions[] | .external'");
  app.set_version_flag("--version", "swnatctl " SWNAT_VERSION);
  app.add_option("-s,--socket", socket, "the daemon's control.socket")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_option("-t,--timeout", timeout,
                 "how long the daemon may say nothing; 60 for reload and flush")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  app.add_flag("-j,--json", as_json,
               "print one JSON document, of watch an object a line (times are in seconds)");
  app.require_subcommand(1);
  app.fallthrough();
  Json request;
  for (const Command& command : commands) {
    CLI::App* added = app.add_subcommand(command.name, command.help);
    if (!command.takes_pattern) continue;
    for (const PatternOption& option : pattern_options) add_option(*added, option, request);
  }
  std::string log_action;
  app.get_subcommand("log")
      ->add_option_function<std::string>(
          "action", [&](const std::string& text) { log_action = "-" + text; }, "reopen")
      ->check(CLI::IsMember({"reopen"}))
      ->type_name("ACTION");
  WhoOptions who_options;
  add_who(app, who_options);
  add_watch(app, request);
  TopOptions top_options;
  add_top_options(*app.add_subcommand("top", "who sends and receives most, live"), top_options);
  for (const char* name : later_commands) app.add_subcommand(name, "not yet supported");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_usage;
  }

  const std::string chosen = app.get_subcommands().front()->get_name();
  const bool takes_long = chosen == "reload" || chosen == "flush";
  if (takes_long && app.count("--timeout") == 0) timeout = long_timeout;
  const std::chrono::seconds patience(timeout);
  if (chosen == "who") {
    return run(socket, [&] { return show_who(socket, who_options, patience, as_json); });
  }
  request["command"] = chosen + log_action;
  if (!is_confirmed(request)) return 1;
  if (chosen == "watch") {
    return run(socket, [&] { return watch(socket, request, patience, as_json); });
  }
  if (chosen == "top") {
    if (as_json) return refuse("top has no JSON; ask for it: swnatctl namespaces --json");
    return run(socket, [&] { return top(socket, patience, top_options); });
  }
  for (const Command& command : commands) {
    if (chosen != command.name) continue;
    return run(socket, [&] { return show(socket, command, request, patience, as_json); });
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
