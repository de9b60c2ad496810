#include "tools/swnatctl_trace.h"

#include <fmt/format.h>

#include <cstddef>
#include <sstream>

namespace swnat::ctl {
namespace {

constexpr std::size_t columns = 80;

// The words behind `start`, in lines that begin below them.
std::string wrapped(const std::string& start, const std::string& words) {
  std::string text = start;
  std::size_t width = start.size();
  std::istringstream rest(words);
  bool is_first = true;
  for (std::string word; rest >> word;) {
    if (!is_first && width + 1 + word.size() > columns) {
      text += '\n' + std::string(start.size(), ' ');
      width = start.size();
    } else if (!is_first) {
      text += ' ';
      ++width;
    }
    text += word;
    width += word.size();
    is_first = false;
  }
  return text + '\n';
}

std::string text_at(const Json& json, const char* key) {
  return json.at(key).get<std::string>();
}

// "blue tcp 10.0.0.2:40000 to 198.51.100.7:443", with what the request left open.
std::string packet_text(const Json& packet) {
  const bool is_inbound = packet.at("direction") == "inbound";
  std::string text =
      fmt::format("{}{} from {} to {}", is_inbound ? "" : text_at(packet, "namespace") + ": ",
                  text_at(packet, "protocol"), text_at(packet, "from"), text_at(packet, "to"));
  if (is_inbound) return text;
  if (packet.at("from_assumed") == true) {
    text += " (--from is assumed)";
  } else if (packet.at("port_assumed") == true) {
    text += " (the port is assumed)";
  }
  return text;
}

}  // namespace

void add_trace_options(CLI::App& command, Json& request) {
  struct Option {
    const char* name;
    const char* type;
    const char* help;
  };
  static constexpr Option options[] = {
      {"namespace", "NAME", "that the packet comes from, of a range's members one"},
      {"to", "ENDPOINT", "that it is sent to, like 198.51.100.7:443 or [2001:db8::7]:443"},
      {"from", "ENDPOINT", "the sender, 10.0.0.2:40000 or 10.0.0.2; without it one is assumed"},
      {"external", "ENDPOINT", "of a packet that comes in: an external address and a port"},
      {"remote", "ENDPOINT", "of a packet that comes in: its sender"},
      {"protocol", "PROTOCOL", "tcp, udp, icmp (an echo, its identifier as the port), gre, esp, …"},
  };
  for (const Option& option : options) {
    command
        .add_option_function<std::string>(
            std::string("--") + option.name,
            [&request, name = option.name](const std::string& text) { request[name] = text; },
            option.help)
        ->type_name(option.type);
  }
}

std::string trace_text(const Json& document) {
  std::string text = wrapped("", packet_text(document.at("packet")));
  int number = 0;
  for (const Json& step : document.at("steps")) {
    const auto result = text_at(step, "result");
    text += wrapped(fmt::format("{:2}  {:<13} {:<8}", ++number, text_at(step, "step"),
                                result == "ok" ? "" : result),
                    text_at(step, "text"));
  }
  const Json& outcome = document.at("outcome");
  return text +
         wrapped("outcome: ", fmt::format("{}, {}: {}", text_at(outcome, "verdict"),
                                          text_at(outcome, "reason"), text_at(outcome, "text")));
}

}  // namespace swnat::ctl
