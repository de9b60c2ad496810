#include "rules/text/utc_text.h"

#include <doctest/doctest.h>

namespace swnat::rules {
namespace {

TEST_CASE("utc text: with milliseconds, always as long") {
  using Time = std::chrono::sys_time<std::chrono::milliseconds>;
  using std::chrono::milliseconds;
  for (const auto& [since, text] :
       {std::pair(milliseconds(1'795'953'600'123), "2026-11-29T12:00:00.123Z"),
        std::pair(milliseconds(0), "1970-01-01T00:00:00.000Z"),
        std::pair(milliseconds(951'827'696'007), "2000-02-29T12:34:56.007Z")}) {
    CHECK_EQ(utc_text(Time(since)), text);
    CHECK_EQ(utc_text(Time(since)).size(), utc_text_length);
  }
}

}  // namespace
}  // namespace swnat::rules
