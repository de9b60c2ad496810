#include "tools/swnatctl_options.h"

#include <cstdint>
#include <limits>
#include <string>

namespace swnat::ctl {
namespace {

struct TextOption {
  const char* name;  // without "--"; the request's key
  const char* type;
  const char* help;
  bool is_momentary = false;  // a session is so now and not then: no events are chosen by it
};

constexpr TextOption namespace_option = {
    "namespace", "NAME",
    "of this namespace; a range's name means all its members, vpn-1000-1099 some, and * any text"};

constexpr TextOption other_options[] = {
    {"protocol", "PROTOCOL", "tcp, udp, icmp (of either family), another name or a number"},
    {"internal", "ENDPOINT", "an address or network, :PORT or :FIRST-LAST, or both"},
    {"external", "ENDPOINT", "likewise"},
    {"remote", "ENDPOINT", "likewise"},
    {"state", "STATE", "active, opening, established, half-closed, closing or reset", true},
    {"idle", "TIME", "idle for at least that long, like 5m; <5m: for less", true},
    {"age", "TIME", "made at least that long ago, like 5m, up to 30d; <5m: later", true},
};

void add(CLI::App& command, Json& request, const TextOption& option) {
  const auto take = [&request, &option](const std::string& text) { request[option.name] = text; };
  command.add_option_function<std::string>(std::string("--") + option.name, take, option.help)
      ->type_name(option.type);
}

}  // namespace

void add_namespace_option(CLI::App& command, Json& request) {
  add(command, request, namespace_option);
}

void add_pattern_options(CLI::App& command, Json& request) {
  add_namespace_option(command, request);
  for (const TextOption& option : other_options) add(command, request, option);
}

void add_watch_options(CLI::App& command, Json& request) {
  static constexpr TextOption events = {"events", "KINDS",
                                        "of mapping,session,refused,block; without it all"};
  add_namespace_option(command, request);
  for (const TextOption& option : other_options) {
    if (!option.is_momentary) add(command, request, option);
  }
  add(command, request, events);
}

void add_order_options(CLI::App& command, Json& request) {
  static constexpr TextOption sort = {
      "sort", "KEY", "by this column; packets, bytes and sessions: the most first"};
  add(command, request, sort);
  command
      .add_flag_callback(
          "--reverse", [&request] { request["reverse"] = true; }, "the other way round")
      ->needs("--sort");
  command
      .add_option_function<std::uint64_t>(
          "--limit", [&request](const std::uint64_t& count) { request["limit"] = count; },
          "so many at most: the first of the order, or else those that are met first")
      ->type_name("NUMBER")
      ->check(
          CLI::Range(std::uint64_t{1}, std::numeric_limits<std::uint64_t>::max(), "NUMBER from 1"));
}

}  // namespace swnat::ctl
