#include "tools/top_table.h"

#include <doctest/doctest.h>

#include <utility>

using namespace swnat::ctl;

TEST_CASE("top table: numbers are short, and nothing is only what is nothing") {
  const std::pair<double, const char*> numbers[] = {
      {0, "0"},         {0.001, "0.1"},     {0.5, "0.5"},     {2, "2"},           {9.94, "9.9"},
      {9.96, "10"},     {999.4, "999"},     {999.6, "1.00k"}, {1234, "1.23k"},    {12'340, "12.3k"},
      {99'960, "100k"}, {999'600, "1.00M"}, {5.5e9, "5.50G"}, {123.4e12, "123T"}, {1e16, "10000T"},
  };
  for (const auto& [number, expected] : numbers) CHECK_EQ(short_number(number), expected);
}

TEST_CASE("top table: a namespace's line") {
  TopLine known{{.name = "blue"}, TopRates{1, 1500, 2, 3000, 12'345}};
  known.row.sessions = 12;
  known.row.session_limit = 20'000;
  known.row.ports = 7;
  const TopLine unknown{{.name = "a-rather-long-name"}, {}};
  const TopLine* const lines[] = {&known, &unknown};
  const TopTable table = top_table(TopBy::namespaces, lines);
  CHECK_EQ(table.heads,
           "NAMESPACE           SESSIONS  LIMIT  PORTS  NEW/S  OUT P/S  OUT B/S  IN P/S  IN B/S");
  CHECK_EQ(table.rows[0],
           "blue                      12  20000      7  12.3k        1    1.50k       2   3.00k");
  CHECK_EQ(table.rows[1],
           "a-rather-long-name         0      0      0      -        -        -       -       -");
}

TEST_CASE("top table: a session's line") {
  const TopLine line{{.name = "blue",
                      .protocol = "udp",
                      .internal = "10.0.0.2:1",
                      .external = "203.0.113.1:4",
                      .remote = "198.51.100.7:53"},
                     TopRates{1, 2, 3, 4}};
  const TopLine* const lines[] = {&line};
  const TopTable table = top_table(TopBy::sessions, lines);
  CHECK_EQ(
      table.heads,
      "OUT P/S  OUT B/S  IN P/S  IN B/S  NAMESPACE  PROTO  INTERNAL    REMOTE           EXTERNAL");
  CHECK_EQ(table.rows[0],
           "      1        2       3       4  blue       udp    10.0.0.2:1  198.51.100.7:53  "
           "203.0.113.1:4");
}

TEST_CASE("top table: all together") {
  TopModel model;
  TopReading reading{.rows = {{.name = "blue"}, {.name = "green"}}};
  reading.rows[0].sessions = 3;
  reading.rows[1].sessions = 4;
  reading.is_cut = true;
  model.take(reading);
  CHECK_EQ(top_summary(model),
           "namespaces 2, sessions 7 and more, 0 new/s, out 0 p/s 0 B/s, in 0 p/s 0 B/s");
  reading.by = TopBy::sessions;
  reading.is_cut = false;
  model.take(reading);
  CHECK_EQ(top_summary(model), "sessions 2, out 0 p/s 0 B/s, in 0 p/s 0 B/s");
}
