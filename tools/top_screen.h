// The terminal of `swnatctl top`. What it was, it is again when this is gone.
#pragma once

#include <optional>
#include <string>

namespace swnat::ctl {

class TopScreen {
 public:
  enum class Look { plain, strong, head, alarm };

  // Throws Error, which says what to do instead, where no such screen can be.
  TopScreen();
  ~TopScreen();
  TopScreen(const TopScreen&) = delete;
  TopScreen& operator=(const TopScreen&) = delete;

  std::size_t rows() const;
  // Forgets what was drawn.
  void clear();
  // Cut at the edge; beyond the last row nothing is drawn.
  void draw(std::size_t row, const std::string& text, Look look = Look::plain);
  // Where the next character that is typed will be seen.
  void show_cursor(std::size_t row, std::size_t column);
  void show();

  // A key that was pressed (top_controls.h), if any. A changed size counts as none, but takes
  // effect.
  std::optional<int> key();

 private:
  void* screen_ = nullptr;  // ncurses' own
  bool has_colours_ = false;
};

}  // namespace swnat::ctl
