// What the keys of `swnatctl top` do.
#pragma once

#include <string>

#include "tools/top_model.h"

namespace swnat::ctl {

// Keys that are no characters.
enum TopKey : int { arrow_up = 0x110000, arrow_down, page_up, page_down, home_key };

inline constexpr double shortest_interval = 0.1;  // in seconds
inline constexpr double longest_interval = 3600;

class TopControls {
 public:
  enum class Mode { table, help, filter, interval };
  enum class Effect { none, quit, ask };  // ask: the reading that is there is not what is wanted

  // `page` is how many lines a page has.
  Effect press(int key, std::size_t page);

  TopBy by = TopBy::namespaces;
  TopOrder order = {};
  double interval = 2;  // in seconds
  bool is_paused = false;

  Mode mode() const { return mode_; }
  // What is being typed.
  const std::string& input() const { return input_; }
  // Lines that were scrolled away above, of so many.
  std::size_t skipped(std::size_t lines, std::size_t page);

 private:
  Effect press_in_table(int key, std::size_t page);
  Effect press_in_input(int key);
  void begin_input(Mode mode, std::string input);
  Effect take_input();

  Mode mode_ = Mode::table;
  std::string input_;
  std::string filter_before_;  // the input's, for who gives up
  std::size_t skipped_ = 0;
};

// What `h` shows.
std::vector<std::string> top_help();

}  // namespace swnat::ctl
