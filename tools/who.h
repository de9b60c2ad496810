// swnatctl who: who had an external port, from the mapping log's files.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <string>

namespace swnat::ctl {

struct WhoOptions {
  std::string endpoint;
  std::string at;  // empty: now
  std::string protocol;
  std::string log;  // empty: what the daemon says
};

// The command with its options, which go to `options`.
void add_who(CLI::App& app, WhoOptions& options);

// What it prints. The daemon is asked where its log is if the options do not say it. Throws Error.
struct WhoAnswer {
  std::string text;
  std::string notes;  // for people, one a line
  bool found = false;
  bool is_whole = false;  // all of the log could be read
};
WhoAnswer who(const WhoOptions& options, const std::string& socket, std::chrono::seconds patience,
              bool as_json);

}  // namespace swnat::ctl
