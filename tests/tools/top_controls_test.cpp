#include "tools/top_controls.h"

#include <doctest/doctest.h>

#include <string_view>

using namespace swnat::ctl;
using Effect = TopControls::Effect;
using Mode = TopControls::Mode;

namespace {

constexpr std::size_t page = 10;
constexpr int escape = 27;

void type(TopControls& controls, std::string_view text) {
  for (const char each : text) CHECK_EQ(controls.press(each, page), Effect::none);
}

}  // namespace

TEST_CASE("top controls: keys choose what is sorted by, and turn it round") {
  TopControls controls;
  for (const TopSortKey& each : top_sort_keys) {
    CHECK_EQ(controls.press(each.key, page), Effect::none);
    CHECK_EQ(controls.order.sort, each.sort);
  }
  type(controls, "r");
  CHECK(controls.order.is_reverse);
  type(controls, "r");
  CHECK_FALSE(controls.order.is_reverse);
  CHECK_EQ(controls.press('q', page), Effect::quit);
}

TEST_CASE("top controls: a filter counts while it is typed, and Escape gives it up") {
  TopControls controls;
  type(controls, "/bl");
  CHECK_EQ(controls.mode(), Mode::filter);
  CHECK_EQ(controls.order.filter, "bl");
  type(controls, "q\b\x7fu");  // no end, but a character that is taken away again
  CHECK_EQ(controls.order.filter, "bu");
  type(controls, "\n");
  CHECK_EQ(controls.mode(), Mode::table);
  CHECK_EQ(controls.order.filter, "bu");
  type(controls, "/x");
  CHECK_EQ(controls.order.filter, "bux");
  controls.press(escape, page);
  CHECK_EQ(controls.order.filter, "bu");
  type(controls, "/\b\b\b\n");
  CHECK_EQ(controls.order.filter, "");
}

TEST_CASE("top controls: an interval is taken when it is one") {
  TopControls controls;
  type(controls, "d0.5");
  CHECK_EQ(controls.interval, 2);
  CHECK_EQ(controls.press('\r', page), Effect::ask);
  CHECK_EQ(controls.interval, 0.5);
  for (const char* wrong : {"0", "3601", "x", "1x", "nan", "-1"}) {
    type(controls, "d");
    type(controls, wrong);
    type(controls, "\n");
    CHECK_EQ(controls.mode(), Mode::interval);
    controls.press(escape, page);
    CHECK_EQ(controls.mode(), Mode::table);
  }
  type(controls, "d\n");
  CHECK_EQ(controls.interval, 0.5);
}

TEST_CASE("top controls: going on after a pause, and another view, need a new reading") {
  TopControls controls;
  CHECK_EQ(controls.press(' ', page), Effect::none);
  CHECK(controls.is_paused);
  CHECK_EQ(controls.press(' ', page), Effect::ask);
  CHECK_FALSE(controls.is_paused);
  CHECK_EQ(controls.press('v', page), Effect::ask);
  CHECK_EQ(controls.by, TopBy::sessions);
  controls.press('v', page);
  CHECK_EQ(controls.by, TopBy::namespaces);
}

TEST_CASE("top controls: help is ended by any key, which does nothing else") {
  for (const char help : {'h', '?'}) {
    TopControls controls;
    controls.press(help, page);
    CHECK_EQ(controls.mode(), Mode::help);
    CHECK_EQ(controls.press('q', page), Effect::none);
    CHECK_EQ(controls.mode(), Mode::table);
  }
  CHECK_FALSE(top_help().empty());
}

TEST_CASE("top controls: lines are scrolled as far as there are some") {
  TopControls controls;
  CHECK_EQ(controls.skipped(25, page), 0);
  controls.press(page_down, page);
  controls.press(arrow_down, page);
  CHECK_EQ(controls.skipped(25, page), 11);
  controls.press(page_down, page);
  CHECK_EQ(controls.skipped(25, page), 15);
  controls.press(arrow_up, page);
  CHECK_EQ(controls.skipped(25, page), 14);
  CHECK_EQ(controls.skipped(3, page), 0);  // the others are gone
  controls.press(page_up, page);
  controls.press(arrow_up, page);
  CHECK_EQ(controls.skipped(25, page), 0);
  controls.press(page_down, page);
  controls.press(home_key, page);
  CHECK_EQ(controls.skipped(25, page), 0);
}
