#include "tools/who.h"

#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "tools/record_files.h"
#include "tools/record_search.h"
#include "tools/swnatctl_connection.h"
#include "tools/swnatctl_json.h"

namespace swnat::ctl {
namespace {

// Where the documentation has it.
constexpr const char* usual_log = "/var/log/swnat/mappings.json";

std::string daemons_log(const std::string& socket, std::chrono::seconds patience) {
  Connection connection(socket, R"({"command":"log"})", patience);
  const auto line = connection.next_line();
  const Json answer = Json::parse(line.value_or(""), nullptr, false);
  if (!answer.is_object()) throw Error(fmt::format("{}: the answer is not swnat-nfq's", socket));
  if (!answer.value("ok", false)) throw Error(answer.value("error", "no answer"));
  std::string file = answer.value("file", "");
  if (file.empty()) throw Error("the daemon's mapping log goes to no file");
  return file;
}

std::string find_log(const std::string& socket, std::chrono::seconds patience) {
  try {
    return daemons_log(socket, patience);
  } catch (const Error& error) {
    if (std::filesystem::exists(usual_log)) return usual_log;
    throw Error(fmt::format("{}\nname the log with --log FILE; there is no {} either", error.what(),
                            usual_log));
  }
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json json_of(const Hold& hold) {
  Json json{{"what", hold.what}, {"namespace", hold.namespace_name}, {"fwmark", hold.fwmark}};
  for (const auto& [key, value] :
       {std::pair("protocol", &hold.protocol), std::pair("internal", &hold.internal),
        std::pair("external", &hold.external), std::pair("remote", &hold.remote)}) {
    if (!value->empty()) json[key] = *value;
  }
  json["from"] = text_or_null(hold.from);
  json["until"] = text_or_null(hold.until);
  if (!hold.cause.empty()) json["cause"] = hold.cause;
  return json;
}

std::string hold_text(const Hold& hold) {
  std::string text = hold.namespace_name.empty()
                         ? fmt::format("fwmark {}", hold.fwmark)
                         : fmt::format("{} (fwmark {})", hold.namespace_name, hold.fwmark);
  if (!hold.protocol.empty()) text += fmt::format(", {} from {}", hold.protocol, hold.internal);
  text += fmt::format(", as {}", hold.external);
  if (!hold.remote.empty()) text += fmt::format(" to {}", hold.remote);
  text += fmt::format(" ({}): {} until {}", hold.what,
                      hold.from.empty() ? "since before the log begins" : "from " + hold.from,
                      hold.until.empty() ? "now" : hold.until);
  return text + (hold.cause.empty() ? "\n" : fmt::format(" ({})\n", hold.cause));
}

}  // namespace

void add_who(CLI::App& app, WhoOptions& options) {
  CLI::App* who = app.add_subcommand("who", "who had an external port, from the mapping log");
  who->add_option("endpoint", options.endpoint, "like 203.0.113.1:40123 or [2001:db8::1]:40123")
      ->type_name("ENDPOINT")
      ->required();
  who->add_option("--at", options.at, "like 2026-11-29T12:00:00Z; without it, now")
      ->type_name("TIME");
  who->add_option("--protocol", options.protocol, "tcp, udp, icmp, icmpv6 or another name")
      ->type_name("PROTOCOL");
  who->add_option("--log", options.log, "the log, if not the running daemon's")->type_name("FILE");
}

WhoAnswer who(const WhoOptions& options, const std::string& socket, std::chrono::seconds patience,
              bool as_json) {
  const SoughtEndpoint endpoint = parse_sought(options.endpoint);
  const TimeRange at =
      options.at.empty() ? range_of(std::chrono::system_clock::now()) : parse_time(options.at);
  const std::string log = options.log.empty() ? find_log(socket, patience) : options.log;
  RecordSearch search(endpoint, at, options.protocol);
  const RecordFiles files = find_records(log);
  for (const std::string& path : files.paths) {
    read_lines(path, [&](std::string_view line) {
      search.take(line);
      return true;
    });
  }
  const std::vector<Hold> holds = search.holds();
  WhoAnswer answer{.text = {}, .notes = {}, .found = !holds.empty()};
  if (as_json) {
    Json list = Json::array();
    for (const Hold& hold : holds) list.push_back(json_of(hold));
    const Json document{{"external", endpoint.text}, {"at", {at.first, at.last}}, {"log", log},
                        {"lost", search.lost()},     {"skipped", files.skipped},  {"who", list}};
    answer.text = document.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
    return answer;
  }
  for (const Hold& hold : holds) answer.text += hold_text(hold);
  if (!answer.found) {
    answer.notes +=
        fmt::format("{}: nobody had it at {}, as far as {} tells\n", endpoint.text, at.first, log);
  }
  if (search.lost() != 0) {
    answer.notes += fmt::format("the log lacks {} events of the time before\n", search.lost());
  }
  for (const std::string& path : files.skipped) {
    answer.notes += fmt::format("{}: not looked at: it is no log, plain or of gzip\n", path);
  }
  return answer;
}

}  // namespace swnat::ctl
