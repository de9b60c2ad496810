// What swnatctl makes of a trace.
#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include "tools/swnatctl_trace.h"

using namespace swnat::ctl;

namespace {

Json document() {
  return {{"packet",
           {{"direction", "outbound"},
            {"namespace", "blue"},
            {"protocol", "tcp"},
            {"from", "10.0.0.2:40000"},
            {"to", "198.51.100.7:25"},
            {"from_assumed", false},
            {"port_assumed", false}}},
          {"steps",
           {{{"step", "rules"}, {"result", "ok"}, {"text", "as configured"}},
            {{"step", "drop"}, {"result", "stop"}, {"text", "[[drop]] 2: tcp port 25"}}}},
          {"outcome",
           {{"verdict", "drop"}, {"reason", "dropped_by_rule"}, {"text", "a rule forbids it"}}}};
}

}  // namespace

TEST_CASE("trace_text: numbered steps, what stops, and the outcome last") {
  CHECK_EQ(trace_text(document()),
           "blue: tcp from 10.0.0.2:40000 to 198.51.100.7:25\n"
           " 1  rules                 as configured\n"
           " 2  drop          stop    [[drop]] 2: tcp port 25\n"
           "outcome: drop, dropped_by_rule: a rule forbids it\n");
}

TEST_CASE("trace_text: says what the request left open") {
  Json left_open = document();
  left_open["packet"]["port_assumed"] = true;
  CHECK_NE(trace_text(left_open).find("(the port is assumed)"), std::string::npos);
  left_open["packet"]["from_assumed"] = true;
  CHECK_NE(trace_text(left_open).find("(--from is assumed)"), std::string::npos);
}

TEST_CASE("trace_text: no line is wider than a terminal, and no word is lost") {
  Json wide = document();
  std::string words;
  for (int i = 0; i < 60; ++i) words += "2001:db8::" + std::to_string(i) + ' ';
  wide["steps"][1]["text"] = words;
  const std::string text = trace_text(wide);
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) CHECK_LE(line.size(), 80);
  CHECK_GT(count, 10);
  for (int i = 0; i < 60; ++i) {
    CHECK_NE(text.find("2001:db8::" + std::to_string(i)), std::string::npos);
  }
}
