#include "rules/text/duration.h"

#include <doctest/doctest.h>

namespace swnat::rules {
namespace {

TEST_CASE("times are read") {
  struct Case {
    const char* text;
    std::int64_t seconds;
  };
  for (const Case& each : {Case{"0s", 0}, Case{"90s", 90}, Case{"4m", 240}, Case{"2h4m", 7440},
                           Case{"1d", 86'400}, Case{"1d2h3m4s", 93'784}, Case{"7d", 604'800}}) {
    CAPTURE(std::string(each.text));
    const auto time = parse_duration(each.text);
    REQUIRE(time);
    CHECK(time->count() == each.seconds);
  }
}

TEST_CASE("what is no time is refused") {
  for (const char* text : {"", "4", "m", "4x", "4m4", "4m2h", "4m4m", "-4m", "+4m", " 4m", "4 m",
                           "4.5m", "99999999999s", "4000000d"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text));
  }
}

}  // namespace
}  // namespace swnat::rules
