// Tables for people, as wide as what they hold, and no wider than a terminal.
//
// Where a table is too wide, it leaves out the columns that are needed least, and where those that
// are left are too wide, each row has several lines. No cell is ever cut.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace swnat::ctl {

enum class Align { left, right };

struct Column {
  std::string head;
  Align align = Align::left;
  // In a narrow terminal those with the greatest number are left out first; 0: never.
  int spare = 0;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns);

  void add(std::vector<std::string> cells);

  // `width` in characters; 0: as wide as it likes.
  std::string text(std::size_t width = 0) const;

 private:
  using Line = std::vector<std::size_t>;  // columns

  std::vector<Line> lines_for(std::size_t width) const;
  std::vector<Line> wrapped(const std::vector<bool>& is_shown, std::size_t width) const;
  void append(std::string& text, const std::vector<Line>& lines,
              const std::vector<std::string>& cells) const;

  std::vector<Column> columns_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

// Of the terminal that standard output is; 0 if it is none, or does not know.
std::size_t terminal_width();

}  // namespace swnat::ctl
