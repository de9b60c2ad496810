#include "tools/time_range.h"

#include <doctest/doctest.h>

#include "tools/swnatctl_connection.h"

using namespace swnat::ctl;

namespace {

void check(std::string_view text, std::string_view first, std::string_view last) {
  CAPTURE(text);
  const TimeRange range = parse_time(text);
  CHECK_EQ(range.first, first);
  CHECK_EQ(range.last, last);
}

}  // namespace

TEST_CASE("time: what is written means all of it") {
  check("2026-11-29T12:00:00Z", "2026-11-29T12:00:00.000Z", "2026-11-29T12:00:00.999Z");
  check("2026-11-29 12:00", "2026-11-29T12:00:00.000Z", "2026-11-29T12:00:59.999Z");
  check("2026-11-29T12:00:00.5Z", "2026-11-29T12:00:00.500Z", "2026-11-29T12:00:00.599Z");
  check("2026-11-29T12:00:00.123Z", "2026-11-29T12:00:00.123Z", "2026-11-29T12:00:00.123Z");
  check("2026-11-29T12:00:00.123456Z", "2026-11-29T12:00:00.123Z", "2026-11-29T12:00:00.123Z");
}

TEST_CASE("time: a zone counts, and without one it is UTC") {
  check("2026-11-29T00:30:00+01:00", "2026-11-28T23:30:00.000Z", "2026-11-28T23:30:00.999Z");
  check("2026-12-31T23:30:00-05:30", "2027-01-01T05:00:00.000Z", "2027-01-01T05:00:00.999Z");
  check("2026-11-29 12:00:00", "2026-11-29T12:00:00.000Z", "2026-11-29T12:00:00.999Z");
}

TEST_CASE("time: what is none is told with what is allowed") {
  for (const char* text :
       {"", "yesterday", "2026-11-29", "2026-11-31T12:00:00Z", "2026-13-01T12:00:00Z",
        "2026-11-29T24:00:00Z", "2026-11-29T12:60:00Z", "2026-11-29T12:00:00Zulu",
        "2026-11-29T12:00:00+1", "2026-11-29T12:00:00.Z", "2026-11-29T12:00:00 ", "12:00",
        "2026-11--9T12:00:00Z"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(
        parse_time(text),
        (std::string("'") + text +
         "' is no time (allowed: \"2026-11-29T12:00:00Z\", \"2026-11-29T13:00:00+01:00\", "
         "\"2026-11-29 12:00:00\" or \"2026-11-29 12:00\"; without a zone it is UTC)")
            .c_str(),
        Error);
  }
}
