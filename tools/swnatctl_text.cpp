#include "tools/swnatctl_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

namespace swnat::ctl {
namespace {

enum class Align { left, right };

struct Column {
  std::string head;
  Align align = Align::left;
};

// Columns as wide as their widest cell.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  std::string text() const {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      std::size_t width = columns_[i].head.size();
      for (const auto& row : rows_) width = std::max(width, row[i].size());
      widths.push_back(width);
    }
    std::vector<std::string> heads;
    for (const Column& column : columns_) heads.push_back(column.head);
    std::string text = line(heads, widths);
    for (const auto& row : rows_) text += line(row, widths);
    return text;
  }

 private:
  std::string line(const std::vector<std::string>& cells,
                   const std::vector<std::size_t>& widths) const {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i != 0) text += "  ";
      const bool is_last = i + 1 == cells.size();
      if (columns_[i].align == Align::right) {
        text += fmt::format("{:>{}}", cells[i], widths[i]);
      } else if (is_last) {
        text += cells[i];
      } else {
        text += fmt::format("{:<{}}", cells[i], widths[i]);
      }
    }
    return text + '\n';
  }

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string number(const Json& value) {
  return std::to_string(value.get<std::uint64_t>());
}

// Packets and bytes of both ways.
constexpr std::array<const char*, 4> traffic_heads{"PACKETS OUT", "BYTES OUT", "PACKETS IN",
                                                   "BYTES IN"};

std::vector<Column> with_traffic(std::vector<Column> columns) {
  for (const char* head : traffic_heads) columns.push_back({head, Align::right});
  return columns;
}

std::vector<std::string> with_traffic(std::vector<std::string> cells, const Json& one) {
  for (const char* direction : {"outbound", "inbound"}) {
    const Json& traffic = one.at(direction);
    cells.push_back(number(traffic.at("packets")));
    cells.push_back(number(traffic.at("bytes")));
  }
  return cells;
}

// "2h 4m", "4m 10s", "59.5s": the two largest units.
std::string duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::max(seconds, 0.0));
  if (whole < 60) return fmt::format("{:.1f}s", std::max(seconds, 0.0));
  if (whole < 3600) return fmt::format("{}m {}s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{}h {}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d {}h", whole / 86400, whole / 3600 % 24);
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

std::string status_text(const Json& document) {
  return fmt::format(
             "swnat-nfq {}, process {}, running for {}\n"
             "configuration: {}\n"
             "namespaces: {}\n"
             "sessions: {} of at most {}\n",
             document.at("version").get<std::string>(), number(document.at("pid")),
             duration(document.at("uptime")), document.at("configuration").get<std::string>(),
             number(document.at("namespaces")), number(document.at("sessions")),
             number(document.at("max_sessions"))) +
         blocks_text(document) + rules_text(document.at("rules")) + queues_text(document);
}

std::string namespaces_text(const Json& document) {
  Table table(with_traffic({{"NAMESPACE"},
                            {"FWMARK", Align::right},
                            {"SESSIONS", Align::right},
                            {"LIMIT", Align::right},
                            {"PORTS", Align::right},
                            {"PORT LIMIT", Align::right},
                            {"BLOCKS", Align::right}}));
  for (const Json& one : document.at("namespaces")) {
    table.add(with_traffic(
        {one.at("name"), number(one.at("fwmark")), number(one.at("sessions")),
         number(one.at("session_limit")), number(one.at("ports")),
         one.at("port_limit") == 0 ? "none" : number(one.at("port_limit")),
         one.at("port_block") == 0 && one.at("port_blocks") == 0 ? "none"
                                                                 : number(one.at("port_blocks"))},
        one));
  }
  return table.text() + forwards_text(document);
}

std::string sessions_text(const Json& document) {
  Table table(with_traffic({{"NAMESPACE"},
                            {"PROTOCOL"},
                            {"INTERNAL"},
                            {"EXTERNAL"},
                            {"REMOTE"},
                            {"STATE"},
                            {"IDLE", Align::right},
                            {"EXPIRES IN", Align::right}}));
  std::vector<const Json*> sessions;
  for (const Json& one : document.at("sessions")) sessions.push_back(&one);
  // A reader looks for a tenant, and then for its newest traffic.
  std::ranges::stable_sort(sessions, [](const Json* left, const Json* right) {
    const auto first = left->at("fwmark").get<std::uint32_t>();
    const auto second = right->at("fwmark").get<std::uint32_t>();
    if (first != second) return first < second;
    return left->at("idle").get<double>() < right->at("idle").get<double>();
  });
  for (const Json* one : sessions) {
    table.add(with_traffic({one->at("namespace"), one->at("protocol"), one->at("internal"),
                            one->at("external"), one->at("remote"), one->at("state"),
                            duration(one->at("idle")), duration(one->at("expires_in"))},
                           *one));
  }
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
