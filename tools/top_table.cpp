#include "tools/top_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

namespace swnat::ctl {
namespace {

struct Column {
  std::string_view head;
  bool is_number;
};

// What a narrow screen cuts off is what is missed least.
constexpr std::array by_namespace{
    Column{"NAMESPACE", false}, Column{"SESSIONS", true}, Column{"LIMIT", true},
    Column{"PORTS", true},      Column{"NEW/S", true},    Column{"OUT P/S", true},
    Column{"OUT B/S", true},    Column{"IN P/S", true},   Column{"IN B/S", true}};
constexpr std::array by_session{
    Column{"OUT P/S", true},   Column{"OUT B/S", true},    Column{"IN P/S", true},
    Column{"IN B/S", true},    Column{"NAMESPACE", false}, Column{"PROTO", false},
    Column{"INTERNAL", false}, Column{"REMOTE", false},    Column{"EXTERNAL", false}};

using Cells = std::vector<std::string>;

void add_rates(Cells& cells, const std::optional<TopRates>& rates) {
  if (!rates) {
    cells.insert(cells.end(), 4, "-");
    return;
  }
  for (const double each :
       {rates->packets_out, rates->bytes_out, rates->packets_in, rates->bytes_in}) {
    cells.push_back(short_number(each));
  }
}

Cells cells_of(TopBy by, const TopLine& line) {
  const TopRow& row = line.row;
  Cells cells;
  if (by == TopBy::namespaces) {
    cells = {row.name, std::to_string(row.sessions), std::to_string(row.session_limit),
             std::to_string(row.ports), line.rates ? short_number(line.rates->sessions_made) : "-"};
    add_rates(cells, line.rates);
  } else {
    add_rates(cells, line.rates);
    for (const std::string* each :
         {&row.name, &row.protocol, &row.internal, &row.remote, &row.external}) {
      cells.push_back(*each);
    }
  }
  return cells;
}

std::string text_of(std::span<const Column> columns, std::span<const std::size_t> widths,
                    const Cells& cells) {
  std::string text;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i != 0) text += "  ";
    const bool is_last = i + 1 == columns.size();
    if (columns[i].is_number) {
      fmt::format_to(std::back_inserter(text), "{:>{}}", cells[i], widths[i]);
    } else {
      fmt::format_to(std::back_inserter(text), "{:<{}}", cells[i], is_last ? 0 : widths[i]);
    }
  }
  return text;
}

}  // namespace

std::string short_number(double number) {
  constexpr std::string_view units = "kMGT";
  if (number < 9.95) {
    // Less than a tenth is shown as nothing only if it is.
    const bool is_whole = number == static_cast<double>(static_cast<int>(number));
    return is_whole ? fmt::format("{:.0f}", number) : fmt::format("{:.1f}", std::max(number, 0.1));
  }
  if (number < 999.5) return fmt::format("{:.0f}", number);
  for (const char unit : units) {
    number /= 1000;
    if (number < 9.995) return fmt::format("{:.2f}{}", number, unit);
    if (number < 99.95) return fmt::format("{:.1f}{}", number, unit);
    if (number < 999.5 || unit == units.back()) return fmt::format("{:.0f}{}", number, unit);
  }
  return {};
}

TopTable top_table(TopBy by, std::span<const TopLine* const> lines) {
  const std::span<const Column> columns =
      by == TopBy::namespaces ? std::span<const Column>(by_namespace) : by_session;
  Cells heads;
  std::vector<std::size_t> widths;
  for (const Column& column : columns) {
    heads.emplace_back(column.head);
    widths.push_back(column.head.size());
  }
  std::vector<Cells> rows;
  for (const TopLine* line : lines) {
    const Cells& cells = rows.emplace_back(cells_of(by, *line));
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  TopTable table{text_of(columns, widths, heads), {}};
  for (const Cells& cells : rows) table.rows.push_back(text_of(columns, widths, cells));
  return table;
}

std::string top_summary(const TopModel& model) {
  const TopRates total = model.total();
  std::string text;
  if (model.by() == TopBy::namespaces) text = fmt::format("namespaces {}, ", model.lines().size());
  text += fmt::format("sessions {}{}", model.sessions(), model.is_cut() ? " and more" : "");
  if (model.by() == TopBy::namespaces) {
    text += fmt::format(", {} new/s", short_number(total.sessions_made));
  }
  return text + fmt::format(", out {} p/s {} B/s, in {} p/s {} B/s",
                            short_number(total.packets_out), short_number(total.bytes_out),
                            short_number(total.packets_in), short_number(total.bytes_in));
}

}  // namespace swnat::ctl
