#include "tools/swnatctl_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "rules/text/suggestion.h"
#include "tools/swnatctl_connection.h"
#include "tools/swnatctl_text.h"

namespace swnat::ctl {
namespace {

constexpr auto item_text = [](const Json& item, const char* key) {
  return item.at(key).get<std::string>();
};

template <class Number>
std::string number_at(const Json& item, const char* key) {
  return std::to_string(item.at(key).get<Number>());
}

// A cell that is the item's text, number or time of that key.
#define SWNAT_TEXT(key) [](const Json& item) { return item_text(item, key); }
#define SWNAT_NUMBER(key) [](const Json& item) { return number_at<std::uint64_t>(item, key); }
#define SWNAT_TIME(key) [](const Json& item) { return duration(item.at(key).get<double>()); }
#define SWNAT_TRAFFIC(direction, what) \
  [](const Json& item) { return number_at<std::uint64_t>(item.at(direction), what); }

constexpr ListColumn of_sessions[] = {
    {"namespace", "NAMESPACE", SWNAT_TEXT("namespace")},
    {"protocol", "PROTOCOL", SWNAT_TEXT("protocol")},
    {"internal", "INTERNAL", SWNAT_TEXT("internal")},
    {"external", "EXTERNAL", SWNAT_TEXT("external")},
    {"remote", "REMOTE", SWNAT_TEXT("remote")},
    {"state", "STATE", SWNAT_TEXT("state"), Align::left, 2},
    {"age", "AGE", SWNAT_TIME("age"), Align::right, 4},
    {"idle", "IDLE", SWNAT_TIME("idle"), Align::right, 3},
    {"expires", "EXPIRES IN", SWNAT_TIME("expires_in"), Align::right, 5},
    {"packets_out", "PACKETS OUT", SWNAT_TRAFFIC("outbound", "packets"), Align::right, 7},
    {"bytes_out", "BYTES OUT", SWNAT_TRAFFIC("outbound", "bytes"), Align::right, 4},
    {"packets_in", "PACKETS IN", SWNAT_TRAFFIC("inbound", "packets"), Align::right, 6},
    {"bytes_in", "BYTES IN", SWNAT_TRAFFIC("inbound", "bytes"), Align::right, 4},
};

constexpr ListColumn of_mappings[] = {
    {"namespace", "NAMESPACE", SWNAT_TEXT("namespace")},
    {"protocol", "PROTOCOL", SWNAT_TEXT("protocol")},
    {"internal", "INTERNAL", SWNAT_TEXT("internal")},
    {"external", "EXTERNAL", SWNAT_TEXT("external")},
    {"remote", "REMOTE", [](const Json& item) { return item.value("remote", "any"); }},
    {"sessions", "SESSIONS", SWNAT_NUMBER("sessions"), Align::right, 2},
    {"forward", "FORWARD",
     [](const Json& item) -> std::string { return item.at("forward").get<bool>() ? "yes" : "no"; },
     Align::left, 5},
    {"age", "AGE", SWNAT_TIME("age"), Align::right, 4},
    {"idle", "IDLE", SWNAT_TIME("idle"), Align::right, 3},
    {"packets_out", "PACKETS OUT", SWNAT_TRAFFIC("outbound", "packets"), Align::right, 7},
    {"bytes_out", "BYTES OUT", SWNAT_TRAFFIC("outbound", "bytes"), Align::right, 4},
    {"packets_in", "PACKETS IN", SWNAT_TRAFFIC("inbound", "packets"), Align::right, 6},
    {"bytes_in", "BYTES IN", SWNAT_TRAFFIC("inbound", "bytes"), Align::right, 4},
};

constexpr ListColumn of_ports[] = {
    {"external", "EXTERNAL", SWNAT_TEXT("external")},
    {"protocol", "PROTOCOL", SWNAT_TEXT("protocol")},
    {"used", "USED", SWNAT_NUMBER("used"), Align::right},
    {"resting", "RESTING", SWNAT_NUMBER("resting"), Align::right},
    {"withheld", "WITHHELD", SWNAT_NUMBER("withheld"), Align::right},
    {"free", "FREE", SWNAT_NUMBER("free"), Align::right},
    {"total", "TOTAL", SWNAT_NUMBER("total"), Align::right},
};

#undef SWNAT_TEXT
#undef SWNAT_NUMBER
#undef SWNAT_TIME
#undef SWNAT_TRAFFIC

}  // namespace

ListColumns session_columns() {
  return of_sessions;
}
ListColumns mapping_columns() {
  return of_mappings;
}
ListColumns port_columns() {
  return of_ports;
}

std::vector<ListColumn> chosen_columns(ListColumns all, std::string_view text) {
  std::vector<ListColumn> chosen;
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    const auto found = std::ranges::find_if(all, [&](const auto& one) { return name == one.name; });
    if (found == all.end()) {
      std::vector<std::string_view> names;
      for (const ListColumn& one : all) names.emplace_back(one.name);
      throw UsageError(
          fmt::format("--columns: '{}' is no column{} (allowed, with commas between: {})", name,
                      rules::did_you_mean(name, names), fmt::join(names, ", ")));
    }
    chosen.push_back(*found);
    chosen.back().spare = 0;
    if (comma == std::string_view::npos) return chosen;
    text.remove_prefix(comma + 1);
  }
}

void ListText::add(const Json& item) {
  Row row;
  if (order_ == Order::by_namespace) {
    row.fwmark = item.at("fwmark").get<std::uint32_t>();
    row.idle = item.at("idle").get<double>();
  }
  for (const ListColumn& column : columns_) row.cells.push_back(column.cell(item));
  rows_.push_back(std::move(row));
}

std::string ListText::text(std::size_t width) {
  if (order_ == Order::by_namespace) {
    std::ranges::stable_sort(rows_, [](const Row& a, const Row& b) {
      return a.fwmark != b.fwmark ? a.fwmark < b.fwmark : a.idle < b.idle;
    });
  }
  std::vector<Column> heads;
  for (const ListColumn& one : columns_) heads.push_back({one.head, one.align, one.spare});
  Table table(std::move(heads));
  for (Row& row : rows_) table.add(std::move(row.cells));
  return table.text(width);
}

}  // namespace swnat::ctl
