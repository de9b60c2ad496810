#include "tools/swnatctl_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/swnatctl_table.h"

namespace swnat::ctl {
namespace {

std::string number(const Json& value) {
  return std::to_string(value.get<std::uint64_t>());
}

// Packets and bytes of both ways.
constexpr std::array<const char*, 4> traffic_heads{"PACKETS OUT", "BYTES OUT", "PACKETS IN",
                                                   "BYTES IN"};

std::vector<Column> with_traffic(std::vector<Column> columns) {
  // Bytes say more than packets.
  for (const char* head : traffic_heads) {
    columns.push_back({head, Align::right, std::string_view(head).starts_with("BYTES") ? 3 : 6});
  }
  return columns;
}

// A second, instead of in all.
std::vector<Column> with_rates(std::vector<Column> columns) {
  for (const char* head : {"PACKETS/S OUT", "BYTES/S OUT", "PACKETS/S IN", "BYTES/S IN"}) {
    columns.push_back({head, Align::right, 3});
  }
  return columns;
}

std::vector<std::string> with_rates(std::vector<std::string> cells, const Json& rates) {
  for (const char* direction : {"outbound", "inbound"}) {
    for (const char* what : {"packets", "bytes"}) {
      cells.push_back(fmt::format("{:.0f}", rates.at(direction).at(what).get<double>()));
    }
  }
  return cells;
}

std::vector<std::string> with_traffic(std::vector<std::string> cells, const Json& one) {
  for (const char* direction : {"outbound", "inbound"}) {
    const Json& traffic = one.at(direction);
    cells.push_back(number(traffic.at("packets")));
    cells.push_back(number(traffic.at("bytes")));
  }
  return cells;
}

// For people the counters that never moved are noise, but for these.
constexpr std::array<std::string_view, 4> basic_counters{"received", "accepted", "passed",
                                                         "dropped"};

std::string queue_text(const Json& queue) {
  std::string text = fmt::format("queue {}:", number(queue.at("queue")));
  for (const auto& [name, value] : queue.items()) {
    if (name == "queue" || !value.is_number()) continue;
    const bool is_basic = std::ranges::find(basic_counters, name) != basic_counters.end();
    if (is_basic || value != 0) text += fmt::format(" {} {},", name, number(value));
  }
  if (!queue.contains("kernel")) return text + " not bound\n";
  const Json& kernel = queue["kernel"];
  text += fmt::format(" waiting in the kernel {}", number(kernel.at("waiting")));
  if (kernel.at("dropped_full") != 0) {
    text += fmt::format(", dropped there because full {}", number(kernel["dropped_full"]));
  }
  if (kernel.at("dropped_overflow") != 0) {
    text +=
        fmt::format(", dropped there because of overflow {}", number(kernel["dropped_overflow"]));
  }
  return text + '\n';
}

std::string rules_text(const Json& rules) {
  std::string text = fmt::format("rules: {}", rules.at("state").get<std::string>());
  std::string_view before = ": ";
  for (const Json& difference : rules.at("differences")) {
    text += fmt::format("{}{}", std::exchange(before, "; "), difference.get<std::string>());
  }
  text += '\n';
  for (const Json& note : rules.at("notes"))
    text += fmt::format("note: {}\n", note.get<std::string>());
  return text;
}

std::string blocks_text(const Json& document) {
  const Json& blocks = document.at("port_blocks");
  return blocks == 0 ? "" : fmt::format("port blocks: {}\n", number(blocks));
}

// Forwards that have room of their own; nothing if there is none.
std::string forwards_text(const Json& document) {
  Table table({{"NAMESPACE"},
               {"PROTOCOL"},
               {"FORWARD"},
               {"SESSIONS", Align::right},
               {"LIMIT", Align::right}});
  bool is_empty = true;
  for (const Json& one : document.at("namespaces")) {
    for (const Json& forward : one.at("forwards")) {
      is_empty = false;
      table.add({one.at("name"), forward.at("protocol"), forward.at("external"),
                 number(forward.at("sessions")), number(forward.at("session_limit"))});
    }
  }
  return is_empty ? "" : '\n' + table.text();
}

std::string queues_text(const Json& document) {
  std::string text;
  for (const Json& queue : document.at("queues")) text += queue_text(queue);
  return text;
}

}  // namespace

std::string duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::max(seconds, 0.0));
  if (whole < 60) return fmt::format("{:.1f}s", std::max(seconds, 0.0));
  if (whole < 3600) return fmt::format("{}m {}s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{}h {}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d {}h", whole / 86400, whole / 3600 % 24);
}

std::string status_text(const Json& document) {
  return fmt::format(
             "swnat-nfq {}, process {}, running for {}\n"
             "configuration: {}\n"
             "namespaces: {}\n"
             "sessions: {} of at most {}; {} made since the start\n",
             document.at("version").get<std::string>(), number(document.at("pid")),
             duration(document.at("uptime")), document.at("configuration").get<std::string>(),
             number(document.at("namespaces")), number(document.at("sessions")),
             number(document.at("max_sessions")), number(document.at("sessions_made"))) +
         blocks_text(document) + rules_text(document.at("rules")) + queues_text(document);
}

std::string namespaces_text(const Json& document) {
  const Json& namespaces = document.at("namespaces");
  const bool has_rates = !namespaces.empty() && namespaces.front().contains("rates");
  std::vector<Column> columns{{"NAMESPACE"},
                              {"FWMARK", Align::right, 5},
                              {"SESSIONS", Align::right},
                              {"LIMIT", Align::right, 2},
                              {"PORTS", Align::right, 2},
                              {"PORT LIMIT", Align::right, 4},
                              {"BLOCKS", Align::right, 4},
                              {"EVICTED", Align::right, 1},
                              {"REFUSED", Align::right, 1}};
  Table table(has_rates ? with_rates(columns) : with_traffic(columns));
  for (const Json& one : namespaces) {
    std::vector<std::string> cells{
        one.at("name"),
        number(one.at("fwmark")),
        number(one.at("sessions")),
        number(one.at("session_limit")),
        number(one.at("ports")),
        one.at("port_limit") == 0 ? "none" : number(one.at("port_limit")),
        one.at("port_block") == 0 && one.at("port_blocks") == 0 ? "none"
                                                                : number(one.at("port_blocks")),
        number(one.at("evicted")),
        number(one.at("refused"))};
    table.add(has_rates ? with_rates(cells, one.at("rates")) : with_traffic(cells, one));
  }
  return table.text(terminal_width()) + forwards_text(document);
}

std::string count_text(const Json& document) {
  if (!document.contains("by")) return number(document.at("count")) + '\n';
  Table table({{"SESSIONS", Align::right}, {"OF"}});
  for (const auto& [name, count] : document.at("by").items()) table.add({number(count), name});
  table.add({number(document.at("count")), "all"});
  return table.text();
}

std::string stats_text(const Json& document) {
  Table table({{"PACKETS", Align::right}, {"VERDICT"}, {"REASON"}});
  const Json& verdicts = document.at("verdicts");
  for (const auto& [name, count] : document.at("packets").items()) {
    if (count != 0) table.add({number(count), verdicts.at(name), name});
  }
  Table by_rules({{"PACKETS", Align::right}, {"DROPPED BY RULES"}});
  bool has_any = false;
  for (const auto& [name, count] : document.at("dropped_by_rules").items()) {
    if (count == 0) continue;
    by_rules.add({number(count), name});
    has_any = true;
  }
  return table.text() + (has_any ? by_rules.text() : "") + queues_text(document);
}

}  // namespace swnat::ctl
