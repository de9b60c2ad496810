#include "tools/who.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <filesystem>
#include <vector>

#include "rules/text/lines.h"
#include "rules/text/protocol_name.h"
#include "rules/text/suggestion.h"
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

// As records have it; empty if any is meant. ICMP is that of the endpoint's family, as for lists.
std::string sought_protocol(const std::string& text, const SoughtEndpoint& endpoint) {
  if (text.empty()) return "";
  const auto number = rules::protocol_number(text);
  if (!number) {
    throw UsageError(fmt::format("--protocol: '{}' is no protocol{} (allowed: {})", text,
                                 rules::did_you_mean(text, rules::protocol_names()),
                                 rules::allowed_protocols));
  }
  const bool is_ipv6 = endpoint.address.find(':') != std::string::npos;
  const bool is_icmpv6 = *number == IPPROTO_ICMP && is_ipv6;
  return rules::protocol_name(is_icmpv6 ? std::uint8_t{IPPROTO_ICMPV6} : *number);
}

// Gives the files' lines to the search. What cannot be read is told, and the rest is looked at.
void search_files(RecordFiles& files, RecordSearch& search, std::string& notes) {
  for (const std::string& path : files.paths) {
    try {
      const std::uint64_t too_long = read_lines(path, [&](std::string_view line) {
        search.take(line);
        return true;
      });
      if (too_long == 0) continue;
      notes += fmt::format("{}: {} left out: a record has at most {} bytes\n", path,
                           rules::counted(too_long, "line"), longest_line);
    } catch (const Error& fault) {
      files.faults.emplace_back(fault.what());
    }
  }
}

}  // namespace

void add_who(CLI::App& app, WhoOptions& options) {
  CLI::App* who = app.add_subcommand("who", "who had an external port, from the mapping log");
  who->add_option("endpoint", options.endpoint, "like 203.0.113.1:40123 or [2001:db8::1]:40123")
      ->type_name("ENDPOINT")
      ->required();
  who->add_option("--at", options.at, "like 2026-11-29T12:00:00Z; without it, now")
      ->type_name("TIME");
  who->add_option("--protocol", options.protocol,
                  "tcp, udp, icmp, icmpv6, another name or a number")
      ->type_name("PROTOCOL");
  who->add_option("--log", options.log, "the log, if not the running daemon's")->type_name("FILE");
}

WhoAnswer who(const WhoOptions& options, const std::string& socket, std::chrono::seconds patience,
              bool as_json) {
  const SoughtEndpoint endpoint = parse_sought(options.endpoint);
  const TimeRange at =
      options.at.empty() ? range_of(std::chrono::system_clock::now()) : parse_time(options.at);
  const std::string protocol = sought_protocol(options.protocol, endpoint);
  const std::string log = options.log.empty() ? find_log(socket, patience) : options.log;
  RecordSearch search(endpoint, at, protocol);
  RecordFiles files = find_records(log);
  WhoAnswer answer;
  search_files(files, search, answer.notes);
  for (const std::string& fault : files.faults) {
    answer.notes += fmt::format("{}; what it may tell is not in the answer\n", fault);
  }
  const std::vector<Hold> holds = search.holds();
  answer.found = !holds.empty();
  answer.is_whole = files.faults.empty();
  if (as_json) {
    Json list = Json::array();
    for (const Hold& hold : holds) list.push_back(json_of(hold));
    const Json document{{"external", endpoint.text},
                        {"at", {at.first, at.last}},
                        {"log", log},
                        {"lost", search.lost()},
                        {"skipped", files.skipped},
                        {"unreadable", files.faults},
                        {"who", list}};
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
