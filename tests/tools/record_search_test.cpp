#include "tools/record_search.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tools/swnatctl_connection.h"

using namespace swnat::ctl;

namespace {

// Its lines are of 2026-11-29, in minutes and seconds after noon.
struct Log {
  std::vector<std::string> lines;

  static std::string time(std::string_view minute) {
    return fmt::format("2026-11-29T12:{}.000Z", minute);
  }
  Log& add(std::string_view minute, std::string_view event, std::string_view rest) {
    lines.push_back(fmt::format(R"({{"time":"{}","event":"{}",{}}})", time(minute), event, rest));
    return *this;
  }
  Log& mapping(std::string_view minute, std::string_view event, std::string_view who = "blue",
               std::string_view protocol = "tcp", std::string_view external = "203.0.113.1:40123") {
    return add(minute, event,
               fmt::format(R"("namespace":"{}","fwmark":1,"protocol":"{}",)"
                           R"("internal":"10.0.0.2:5000","external":"{}")",
                           who, protocol, external));
  }
  Log& block(std::string_view minute, std::string_view event, std::string_view ports,
             std::string_view who = "blue") {
    return add(
        minute, event,
        fmt::format(R"("namespace":"{}","fwmark":1,"external":"203.0.113.1:{}")", who, ports));
  }

  RecordSearch search(std::string_view minute, std::string_view endpoint = "203.0.113.1:40123",
                      const std::string& protocol = "") const {
    RecordSearch search(parse_sought(endpoint), {time(minute), time(minute)}, protocol);
    for (const std::string& line : lines) {
      search.take(line);
    }
    return search;
  }
  // Each as "namespace from until", in minutes and seconds.
  std::vector<std::string> who(std::string_view minute,
                               std::string_view endpoint = "203.0.113.1:40123",
                               const std::string& protocol = "") const {
    std::vector<std::string> all;
    for (const Hold& hold : search(minute, endpoint, protocol).holds()) {
      const auto part = [](const std::string& text) {
        return text.empty() ? std::string("?") : text.substr(14, 5);
      };
      all.push_back(
          fmt::format("{} {} {}", hold.namespace_name, part(hold.from), part(hold.until)));
    }
    return all;
  }
};

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("record search: one after the other had the port") {
  Log log;
  log.mapping("10:00", "mapping_made", "blue").mapping("20:00", "mapping_ended", "blue");
  log.mapping("30:00", "mapping_made", "green");
  CHECK_EQ(log.who("09:59"), Words{});
  CHECK_EQ(log.who("10:00"), Words{"blue 10:00 20:00"});
  CHECK_EQ(log.who("15:00"), Words{"blue 10:00 20:00"});
  CHECK_EQ(log.who("20:00"), Words{"blue 10:00 20:00"});
  CHECK_EQ(log.who("20:01"), Words{});
  CHECK_EQ(log.who("40:00"), Words{"green 30:00 ?"});
  CHECK_EQ(log.who("15:00", "203.0.113.1:4012"), Words{});
  CHECK_EQ(log.who("15:00", "203.0.113.2:40123"), Words{});
}

TEST_CASE("record search: a hold has all that the records tell") {
  Log log;
  log.mapping("10:00", "mapping_made");
  log.add("11:00", "mapping_ended",
          R"("namespace":"blue","fwmark":1,"protocol":"tcp","internal":"10.0.0.2:5000",)"
          R"("external":"203.0.113.1:40123","cause":"expired")");
  const auto holds = log.search("10:30").holds();
  REQUIRE_EQ(holds.size(), 1);
  CHECK_EQ(holds[0].what, "mapping");
  CHECK_EQ(holds[0].fwmark, 1);
  CHECK_EQ(holds[0].internal, "10.0.0.2:5000");
  CHECK_EQ(holds[0].external, "203.0.113.1:40123");
  CHECK_EQ(holds[0].cause, "expired");
}

TEST_CASE("record search: protocols have ports of their own") {
  Log log;
  log.mapping("10:00", "mapping_made", "blue", "tcp")
      .mapping("10:00", "mapping_made", "green", "udp");
  CHECK_EQ(log.who("11:00").size(), 2);
  CHECK_EQ(log.who("11:00", "203.0.113.1:40123", "udp"), Words{"green 10:00 ?"});
  log.mapping("10:30", "mapping_made", "blue", "gre", "203.0.113.1");
  CHECK_EQ(log.who("11:00", "203.0.113.1"), Words{"blue 10:30 ?"});
}

TEST_CASE("record search: what was made before the log began has no beginning") {
  Log log;
  log.mapping("20:00", "mapping_ended");
  CHECK_EQ(log.who("15:00"), Words{"blue ? 20:00"});
  CHECK_EQ(log.who("21:00"), Words{});
}

TEST_CASE("record search: a log that begins without sessions ends what is open") {
  Log log;
  log.mapping("10:00", "mapping_made").add("20:00", "begun", R"("sessions":0)");
  CHECK_EQ(log.who("15:00"), Words{"blue 10:00 20:00"});
  CHECK_EQ(log.who("30:00"), Words{});
  Log kept;
  kept.mapping("10:00", "mapping_made").add("20:00", "begun", R"("sessions":1)");
  CHECK_EQ(kept.who("30:00"), Words{"blue 10:00 ?"});
}

TEST_CASE("record search: a port of a block was its namespace's") {
  Log log;
  log.block("10:00", "block_taken", "40000-40511")
      .block("10:00", "block_taken", "40512-41023", "green");
  log.block("20:00", "block_given_up", "40000-40511");
  CHECK_EQ(log.who("15:00", "203.0.113.1:40000"), Words{"blue 10:00 20:00"});
  CHECK_EQ(log.who("15:00", "203.0.113.1:40511"), Words{"blue 10:00 20:00"});
  CHECK_EQ(log.who("15:00", "203.0.113.1:40512", "udp"), Words{"green 10:00 ?"});
  CHECK_EQ(log.who("15:00", "203.0.113.1:39999"), Words{});
  CHECK_EQ(log.who("25:00", "203.0.113.1:40000"), Words{});
  CHECK_EQ(log.who("15:00", "203.0.113.1"), Words{});
}

TEST_CASE("record search: sessions that tell no remotes have a port together") {
  Log log;
  log.mapping("10:00", "session_made").mapping("11:00", "session_made");
  log.mapping("12:00", "session_ended").mapping("13:00", "session_ended");
  CHECK_EQ(log.who("12:30"), Words{"blue 10:00 13:00"});
}

TEST_CASE("record search: IPv6, however it is written") {
  Log log;
  log.mapping("10:00", "mapping_made", "blue", "udp", "[2001:db8::1]:40123");
  CHECK_EQ(log.who("11:00", "[2001:db8::1]:40123"), Words{"blue 10:00 ?"});
  CHECK_EQ(log.who("11:00", "[2001:0DB8:0:0::1]:40123"), Words{"blue 10:00 ?"});
  CHECK_EQ(log.who("11:00", "[2001:db8::2]:40123"), Words{});
}

TEST_CASE("record search: lines that are no records are passed over") {
  Log log;
  log.lines = {
      "", "{", R"({"time":"2026-11-29T12:)", "\"external\":\"203.0.113.1:40123\"",
      R"({"time":"2026-11-29T12:01:00.000Z","event":"mapping_made","external":"203.0.113.1:40123")"};
  log.mapping("10:00", "mapping_made");
  CHECK_EQ(log.who("11:00"), Words{"blue 10:00 ?"});
}

TEST_CASE("record search: what the log lacks is counted, until the time") {
  Log log;
  log.add("10:00", "lost", R"("of":"mapping_made","count":3)").add("11:00", "lost", R"("count":4)");
  log.add("30:00", "lost", R"("count":8)");
  CHECK_EQ(log.search("20:00").lost(), 7);
}

TEST_CASE("record search: what was had since before the log is found by its end, however late") {
  Log log;
  log.mapping("10:00", "mapping_made").mapping("20:00", "mapping_ended");
  log.mapping("50:00", "mapping_ended", "green", "udp");
  CHECK_EQ(log.who("15:00"), std::vector<std::string>{"green ? 50:00", "blue 10:00 20:00"});
}

TEST_CASE("record search: what is no endpoint is told with what is allowed") {
  for (const char* text : {"", "203.0.113.1:", "203.0.113.1:65536", "203.0.113:1", "[2001:db8::1]",
                           "[2001:db8::1:1", "name:1", "203.0.113.1:1-2", "2001:db8::1]:1"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_sought(text), Error);
  }
  CHECK_EQ(parse_sought("2001:db8::1").text, "2001:db8::1");
}
