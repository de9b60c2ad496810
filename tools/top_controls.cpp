#include "tools/top_controls.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace swnat::ctl {
namespace {

constexpr int escape = 27;
constexpr int erase_key = 127;
constexpr std::size_t longest_input = 60;

std::optional<double> parse_interval(const std::string& text) {
  double seconds = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, seconds);
  if (error != std::errc{} || rest != end) return std::nullopt;
  if (!(seconds >= shortest_interval && seconds <= longest_interval)) return std::nullopt;
  return seconds;
}

}  // namespace

TopControls::Effect TopControls::press(int key, std::size_t page) {
  switch (mode_) {
    case Mode::table:
      return press_in_table(key, page);
    case Mode::help:
      mode_ = Mode::table;
      return Effect::none;
    default:
      return press_in_input(key);
  }
}

TopControls::Effect TopControls::press_in_table(int key, std::size_t page) {
  for (const TopSortKey& each : top_sort_keys) {
    if (each.key == key) order.sort = each.sort;
  }
  switch (key) {
    case 'q':
      return Effect::quit;
    case 'h':
    case '?':
      mode_ = Mode::help;
      break;
    case 'r':
      order.is_reverse = !order.is_reverse;
      break;
    case 'v':
      by = by == TopBy::namespaces ? TopBy::sessions : TopBy::namespaces;
      skipped_ = 0;
      return Effect::ask;
    case ' ':
      is_paused = !is_paused;
      return is_paused ? Effect::none : Effect::ask;
    case '/':
      filter_before_ = order.filter;
      begin_input(Mode::filter, order.filter);
      break;
    case 'd':
      begin_input(Mode::interval, {});
      break;
    case arrow_up:
      skipped_ -= std::min<std::size_t>(skipped_, 1);
      break;
    case arrow_down:
      ++skipped_;
      break;
    case page_up:
      skipped_ -= std::min(skipped_, page);
      break;
    case page_down:
      skipped_ += page;
      break;
    case home_key:
      skipped_ = 0;
      break;
    default:
      break;
  }
  return Effect::none;
}

void TopControls::begin_input(Mode mode, std::string input) {
  mode_ = mode;
  input_ = std::move(input);
}

// A filter counts while it is typed.
TopControls::Effect TopControls::press_in_input(int key) {
  if (key == '\n' || key == '\r') return take_input();
  if (key == escape) {
    if (mode_ == Mode::filter) order.filter = filter_before_;
    mode_ = Mode::table;
    return Effect::none;
  }
  if (key == erase_key || key == '\b') {
    if (!input_.empty()) input_.pop_back();
  } else if (key >= ' ' && key < erase_key && input_.size() < longest_input) {
    input_ += static_cast<char>(key);
  }
  if (mode_ == Mode::filter) order.filter = input_;
  return Effect::none;
}

// What is no interval stays to be corrected.
TopControls::Effect TopControls::take_input() {
  if (mode_ == Mode::filter || input_.empty()) {
    mode_ = Mode::table;
    return Effect::none;
  }
  const auto seconds = parse_interval(input_);
  if (!seconds) return Effect::none;
  interval = *seconds;
  mode_ = Mode::table;
  return Effect::ask;
}

std::size_t TopControls::skipped(std::size_t lines, std::size_t page) {
  skipped_ = std::min(skipped_, lines - std::min(lines, page));
  return skipped_;
}

std::vector<std::string> top_help() {
  std::vector<std::string> lines = {"Keys", "", "  sort by"};
  for (const TopSortKey& each : top_sort_keys) {
    lines.push_back(fmt::format("    {}  {}", each.key, each.help));
  }
  for (const char* line :
       {"    r  the other way round", "", "  v  by session, or by namespace",
        "  /  only what contains a text; Escape gives up", "  space  pause, and go on",
        "  d  seconds between two looks", "  arrows, page keys, Home  other lines",
        "  h, ?  this help; any key ends it", "  q, Ctrl-C  end", "",
        "P/S: packets a second, B/S: bytes a second. \"-\": not known yet."}) {
    lines.emplace_back(line);
  }
  return lines;
}

}  // namespace swnat::ctl
