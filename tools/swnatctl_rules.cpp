#include "tools/swnatctl_rules.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <limits>
#include <string_view>
#include <system_error>

#include "tools/swnatctl_text.h"

namespace swnat::ctl {
namespace {

constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();

// A text under a key, or "" where there is none.
std::string rule_text(const Json& item, const char* key) {
  const auto found = item.find(key);
  if (found == item.end()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string rule_text(const Json& item, const char* key, const char* otherwise) {
  std::string text = rule_text(item, key);
  return text.empty() ? otherwise : text;
}

std::string left(const Json& item) {
  const auto found = item.find("lifetime_left");
  return found == item.end() ? "" : duration(found->get<double>());
}

#define SWNAT_CELL(key) [](const Json& item) { return rule_text(item, key); }
#define SWNAT_CELL_OR(key, text) [](const Json& item) { return rule_text(item, key, text); }

constexpr ListColumn of_forwards[] = {
    {"namespace", "NAMESPACE", SWNAT_CELL("namespace")},
    {"protocol", "PROTOCOL", SWNAT_CELL("protocol")},
    {"external", "EXTERNAL", SWNAT_CELL("external")},
    {"to", "TO", SWNAT_CELL("to")},
    {"session_limit", "LIMIT", SWNAT_CELL("session_limit"), Align::right, 3},
    {"origin", "ORIGIN", SWNAT_CELL("origin")},
    {"owner", "OWNER", SWNAT_CELL("owner"), Align::left, 1},
    {"left", "LEFT", left, Align::right, 2},
    {"note", "NOTE", SWNAT_CELL("note"), Align::left, 4},
};

constexpr ListColumn of_drops[] = {
    {"number", "NUMBER", SWNAT_CELL("number"), Align::right},
    {"namespace", "NAMESPACE", SWNAT_CELL_OR("namespace", "all")},
    {"protocol", "PROTOCOL", SWNAT_CELL("protocol")},
    {"port", "PORTS", SWNAT_CELL_OR("port", "all")},
    {"origin", "ORIGIN", SWNAT_CELL("origin")},
    {"owner", "OWNER", SWNAT_CELL("owner"), Align::left, 1},
    {"left", "LEFT", left, Align::right, 2},
    {"note", "NOTE", SWNAT_CELL("note"), Align::left, 4},
};

#undef SWNAT_CELL
#undef SWNAT_CELL_OR

Json number_or(const std::string& text) {
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  return error == std::errc{} && rest == end ? Json(number) : Json(text);
}

// Options of a command about rules: each is a key of the request.
class RuleOptions {
 public:
  RuleOptions(CLI::App& command, Json& request) : command_(command), request_(request) {}

  CLI::Option* text(const std::string& names, const char* key, const char* type, const char* help) {
    return command_
        .add_option_function<std::string>(
            names,
            [this_request = &request_, key](const std::string& value) {
              (*this_request)[key] = value;
            },
            help)
        ->type_name(type);
  }
  // A number where it is one, else text.
  void number_or_text(const std::string& names, const char* key, const char* type,
                      const char* help) {
    command_
        .add_option_function<std::string>(
            names,
            [this_request = &request_, key](const std::string& value) {
              (*this_request)[key] = number_or(value);
            },
            help)
        ->type_name(type);
  }
  CLI::Option* number(const std::string& names, const char* key, const char* help) {
    return command_
        .add_option_function<std::uint64_t>(
            names,
            [this_request = &request_, key](const std::uint64_t& value) {
              (*this_request)[key] = value;
            },
            help)
        ->type_name("NUMBER")
        ->check(CLI::Range(std::uint64_t{1}, most, "NUMBER from 1"));
  }

 private:
  CLI::App& command_;
  Json& request_;
};

CLI::App& add_action(CLI::App& app, const char* action, const char* help, Json& request) {
  CLI::App* added = app.add_subcommand(action, help);
  const std::string name = app.get_name() + "-" + action;
  added->preparse_callback([&request, name](std::size_t) { request["command"] = name; });
  return *added;
}

void add_terms(RuleOptions options) {
  options.number_or_text("--lifetime", "lifetime", "TIME",
                         "seconds, or text like 90s, 1h or 1d12h; without it until it is removed");
  options.text("--owner", "owner", "NAME", "who adds it (default: operator)");
  options.text("--note", "note", "TEXT", "shown in lists");
}

void add_filters(RuleOptions options) {
  options.text("--namespace", "namespace", "NAME",
               "of this namespace; a range's name means all its members, and * any text");
  options.text("--protocol", "protocol", "PROTOCOL", "tcp, udp; of drops also icmp");
  options.text("--owner", "owner", "NAME", "that this one added");
}

void add_forward_commands(CLI::App& app, Json& request) {
  CLI::App& forward = *app.add_subcommand("forward", "port forwards, of the file and added to it");
  forward.require_subcommand(1);
  CLI::App& add = add_action(
      forward, "add", "forward a port until it is removed, without touching the file", request);
  RuleOptions options(add, request);
  options.text("--protocol", "protocol", "PROTOCOL", "tcp or udp")->required();
  options.text("--namespace", "namespace", "NAME", "the tenant that has --to")->required();
  options.text("--to", "to", "ENDPOINT", "an address and port within the namespace")->required();
  options.text("--external", "external", "ENDPOINT",
               "where packets come in; without a port, or this option, the daemon chooses");
  options.number("--session-limit", "session_limit", "sessions that may come in by it");
  add.add_flag_callback(
      "--any-port", [&request] { request["any_port"] = true; },
      "another external port will do where that one is taken");
  add_terms(options);
  add_filters(RuleOptions(add_action(forward, "list", "all forwards, and whose each is", request),
                          request));
  RuleOptions removal(
      add_action(forward, "remove", "remove one that was added; its sessions end", request),
      request);
  removal.text("--protocol", "protocol", "PROTOCOL", "tcp or udp")->required();
  removal.text("--external", "external", "ENDPOINT", "of this external address and port");
  removal.text("--namespace", "namespace", "NAME", "or by where it leads: the tenant");
  removal.text("--to", "to", "ENDPOINT", "and the address and port there");
  removal.text("--owner", "owner", "NAME", "only if this one added it");
}

void add_drop_commands(CLI::App& app, Json& request) {
  CLI::App& drop = *app.add_subcommand("drop", "what tenants may not send, of the file and added");
  drop.require_subcommand(1);
  const auto add_keys = [](RuleOptions options) {
    options.number_or_text("--ports,--port", "port", "PORTS",
                           "to this port, or like 6881-6889; without: all");
    options.text("--namespace", "namespace", "NAME",
                 "of this namespace; a range's name means all its members; without: of all");
  };
  RuleOptions options(
      add_action(drop, "add", "drop packets until it is removed, without touching the file",
                 request),
      request);
  options.text("--protocol", "protocol", "PROTOCOL", "tcp, udp or icmp")->required();
  add_keys(options);
  add_terms(options);
  add_filters(
      RuleOptions(add_action(drop, "list", "all drops, and whose each is", request), request));
  CLI::App& remove = add_action(drop, "remove", "remove one that was added", request);
  RuleOptions removal(remove, request);
  removal.number("number", "number", "as the list has it; or what it drops:");
  removal.text("--protocol", "protocol", "PROTOCOL", "tcp, udp or icmp");
  add_keys(removal);
  removal.text("--owner", "owner", "NAME", "only if this one added it");
}

}  // namespace

void add_rule_commands(CLI::App& app, Json& request) {
  add_forward_commands(app, request);
  add_drop_commands(app, request);
}

ListColumns forward_columns() {
  return of_forwards;
}
ListColumns drop_columns() {
  return of_drops;
}

std::string added_forward_text(const Json& document) {
  const Json& one = document.at("forward");
  std::string text =
      fmt::format("forwarding {} {} to {} of {}", one.at("protocol").get<std::string>(),
                  one.at("external").get<std::string>(), one.at("to").get<std::string>(),
                  one.at("namespace").get<std::string>());
  if (const std::string time = left(one); !time.empty()) text += " for " + time;
  return text + '\n';
}

std::string added_drop_text(const Json& document) {
  const Json& one = document.at("drop");
  std::string text =
      fmt::format("drop {}: {}", rule_text(one, "number"), rule_text(one, "protocol"));
  if (one.contains("port")) text += " to port " + rule_text(one, "port");
  text += " of " + rule_text(one, "namespace", "all namespaces");
  if (const std::string time = left(one); !time.empty()) text += " for " + time;
  return text + '\n';
}

std::string removed_text(const Json& document) {
  return fmt::format("removed {}\n", document.at("removed").get<std::uint64_t>());
}

}  // namespace swnat::ctl
