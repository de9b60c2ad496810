#include "tools/top_screen.h"

#include <fmt/format.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>

#include "tools/swnatctl_connection.h"
#include "tools/top_controls.h"

// After the others: they define short words as macros.
#define NCURSES_NOMACROS
#include <curses.h>
#include <term.h>

namespace swnat::ctl {
namespace {

constexpr short alarm_pair = 1;
constexpr int escape_milliseconds = 25;

// Without this, what is drawn ends up anywhere.
bool can_place_cursor() {
  int fault = 0;
  if (::setupterm(nullptr, STDOUT_FILENO, &fault) != OK) return false;
  const char* const placing = ::tigetstr("cup");
  const bool can = placing != nullptr && placing != reinterpret_cast<const char*>(-1);
  ::del_curterm(cur_term);
  return can;
}

void require_terminal() {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) {
    throw Error("top needs a terminal; without one: swnatctl top --batch");
  }
  if (can_place_cursor()) return;
  const char* const term = std::getenv("TERM");
  throw Error(
      fmt::format("top cannot draw on a terminal of type '{}' (TERM); without: swnatctl "
                  "top --batch",
                  term == nullptr ? "" : term));
}

// https://no-color.org
bool are_colours_wanted() {
  const char* const refused = std::getenv("NO_COLOR");
  return refused == nullptr || *refused == '\0';
}

}  // namespace

TopScreen::TopScreen() {
  require_terminal();
  std::setlocale(LC_CTYPE, "");
  SCREEN* const screen = ::newterm(nullptr, stdout, stdin);
  if (screen == nullptr) {
    throw Error("top cannot use this terminal; without one: swnatctl top --batch");
  }
  screen_ = screen;
  ::cbreak();
  ::noecho();
  ::nonl();
  ::keypad(stdscr, TRUE);
  ::nodelay(stdscr, TRUE);
  ::set_escdelay(escape_milliseconds);
  ::curs_set(0);
  has_colours_ = are_colours_wanted() && ::has_colors();
  if (!has_colours_) return;
  ::start_color();
  ::use_default_colors();
  ::init_pair(alarm_pair, COLOR_RED, -1);
}

TopScreen::~TopScreen() {
  ::endwin();
  ::delscreen(static_cast<SCREEN*>(screen_));
}

std::size_t TopScreen::rows() const {
  return static_cast<std::size_t>(LINES);
}

void TopScreen::clear() {
  ::erase();
  ::curs_set(0);
}

void TopScreen::draw(std::size_t row, const std::string& text, Look look) {
  if (row >= rows()) return;
  attr_t attributes = A_NORMAL;
  if (look == Look::head) attributes = A_REVERSE;
  if (look == Look::strong || look == Look::alarm) attributes = A_BOLD;
  const short pair = look == Look::alarm && has_colours_ ? alarm_pair : short{0};
  ::attr_set(attributes, pair, nullptr);
  ::mvaddnstr(static_cast<int>(row), 0, text.c_str(), COLS);
  if (look == Look::head) {
    for (auto column = static_cast<int>(text.size()); column < COLS; ++column) ::addch(' ');
  }
  ::attr_set(A_NORMAL, 0, nullptr);
}

void TopScreen::show_cursor(std::size_t row, std::size_t column) {
  ::curs_set(1);
  ::move(static_cast<int>(row), static_cast<int>(column));
}

void TopScreen::show() {
  ::refresh();
}

std::optional<int> TopScreen::key() {
  switch (const int code = ::getch()) {
    case ERR:
      return std::nullopt;
    case KEY_UP:
      return arrow_up;
    case KEY_DOWN:
      return arrow_down;
    case KEY_PPAGE:
      return page_up;
    case KEY_NPAGE:
      return page_down;
    case KEY_HOME:
      return home_key;
    case KEY_BACKSPACE:
      return '\b';
    case KEY_ENTER:
      return '\n';
    default:
      return code < KEY_MIN ? code : 0;
  }
}

}  // namespace swnat::ctl
