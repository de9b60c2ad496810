#include "tools/swnatctl_table.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace swnat::ctl {
namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t indent = 4;  // of a row's further lines

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (const Column& column : columns_) widths_.push_back(column.head.size());
}

void Table::add(std::vector<std::string> cells) {
  for (std::size_t i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], cells[i].size());
  rows_.push_back(std::move(cells));
}

std::string Table::text(std::size_t width) const {
  const std::vector<Line> lines = lines_for(width);
  std::vector<std::string> heads;
  for (const Column& column : columns_) heads.push_back(column.head);
  std::string text;
  append(text, lines, heads);
  for (const auto& row : rows_) append(text, lines, row);
  return text;
}

// One line if any columns can be spared for it, else two, and so on.
std::vector<Table::Line> Table::lines_for(std::size_t width) const {
  if (width == 0) width = std::numeric_limits<std::size_t>::max();
  for (std::size_t count = 1;; ++count) {
    std::vector<bool> is_shown(columns_.size(), true);
    for (;;) {
      std::vector<Line> lines = wrapped(is_shown, width);
      if (lines.size() <= count || count == columns_.size()) return lines;
      std::size_t spared = columns_.size();
      int spare = 0;
      for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (!is_shown[i] || columns_[i].spare <= spare) continue;
        spared = i;
        spare = columns_[i].spare;
      }
      if (spared == columns_.size()) break;
      is_shown[spared] = false;
    }
  }
}

std::vector<Table::Line> Table::wrapped(const std::vector<bool>& is_shown,
                                        std::size_t width) const {
  std::vector<Line> lines;
  std::size_t used = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!is_shown[i]) continue;
    if (lines.empty() || used + gap + widths_[i] > width) {
      used = lines.empty() ? 0 : indent;
      lines.emplace_back();
    } else {
      used += gap;
    }
    used += widths_[i];
    lines.back().push_back(i);
  }
  return lines;
}

void Table::append(std::string& text, const std::vector<Line>& lines,
                   const std::vector<std::string>& cells) const {
  for (std::size_t number = 0; number < lines.size(); ++number) {
    if (number != 0) text.append(indent, ' ');
    for (const std::size_t i : lines[number]) {
      const bool is_last = i == lines[number].back();
      if (i != lines[number].front()) text.append(gap, ' ');
      if (columns_[i].align == Align::right) {
        text += fmt::format("{:>{}}", cells[i], widths_[i]);
      } else if (is_last) {
        text += cells[i];
      } else {
        text += fmt::format("{:<{}}", cells[i], widths_[i]);
      }
    }
    text += '\n';
  }
}

std::size_t terminal_width() {
  winsize size{};
  const bool is_known =
      ::isatty(STDOUT_FILENO) != 0 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  return is_known ? size.ws_col : 0;
}

}  // namespace swnat::ctl
