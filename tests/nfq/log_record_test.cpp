#include "nfq/log_record.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "swnat/address_text.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace std::chrono_literals;

namespace {

constexpr WallTime noon{1'795'953'600'123ms};

LogRecord record_of(EventKind kind) {
  return {.time = noon,
          .event = {.kind = kind,
                    .protocol = 6,
                    .namespace_id = 7,
                    .internal = parse_endpoint("10.0.0.2:5000").value(),
                    .external = parse_endpoint("203.0.113.1:40123").value()},
          .namespace_name = "blue"};
}

std::string json_of(const LogRecord& record, bool destinations = false) {
  std::string text;
  append_json(text, record, destinations);
  CHECK_EQ(nlohmann::json::parse(text).size() > 1, true);
  return text;
}

}  // namespace

TEST_CASE("log record: a mapping has its keys in this order") {
  CHECK_EQ(json_of(record_of(EventKind::mapping_made)),
           R"({"time":"2026-11-29T12:00:00.123Z","event":"mapping_made","namespace":"blue",)"
           R"("fwmark":7,"protocol":"tcp","internal":"10.0.0.2:5000",)"
           R"("external":"203.0.113.1:40123"})"
           "\n");
  LogRecord ended = record_of(EventKind::mapping_ended);
  ended.event.cause = EndCause::expired;
  ended.event.is_forward = true;
  CHECK(json_of(ended).ends_with(R"("external":"203.0.113.1:40123","forward":true,)"
                                 R"("cause":"expired"})"
                                 "\n"));
}

TEST_CASE("log record: an IPv6 endpoint is written as people and swnatctl write it") {
  LogRecord made = record_of(EventKind::mapping_made);
  made.event.external = parse_endpoint("[2001:db8::1]:40123").value();
  CHECK(json_of(made).ends_with(R"("external":"[2001:db8::1]:40123"})"
                                "\n"));
}

TEST_CASE("log record: what has no ports has addresses only") {
  LogRecord made = record_of(EventKind::mapping_made);
  made.event.protocol = 47;
  CHECK(
      json_of(made).ends_with(R"("protocol":"gre","internal":"10.0.0.2","external":"203.0.113.1"})"
                              "\n"));
}

TEST_CASE("log record: a remote is told only if destinations are wanted") {
  LogRecord made = record_of(EventKind::session_made);
  made.event.remote = parse_endpoint("198.51.100.7:443").value();
  CHECK_EQ(json_of(made, false).find("198.51.100.7"), std::string::npos);
  CHECK(json_of(made, true)
            .ends_with(R"(,"remote":"198.51.100.7:443"})"
                       "\n"));
  // Of a mapping that sessions with several remotes share there is none.
  CHECK_EQ(json_of(record_of(EventKind::mapping_made), true).find("remote"), std::string::npos);
}

TEST_CASE("log record: a session that ended tells its traffic") {
  LogRecord ended = record_of(EventKind::session_ended);
  ended.event.cause = EndCause::closed;
  ended.event.traffic = {.outbound = {.packets = 3, .bytes = 384},
                         .inbound = {.packets = 2, .bytes = 80}};
  CHECK(json_of(ended).ends_with(
      R"(,"cause":"closed","outbound":{"packets":3,"bytes":384},"inbound":{"packets":2,"bytes":80}})"
      "\n"));
}

TEST_CASE("log record: a block is a range of ports") {
  LogRecord taken = record_of(EventKind::block_taken);
  taken.event.external = parse_endpoint("203.0.113.1:40448").value();
  taken.event.count = 512;
  CHECK_EQ(json_of(taken),
           R"({"time":"2026-11-29T12:00:00.123Z","event":"block_taken","namespace":"blue",)"
           R"("fwmark":7,"external":"203.0.113.1:40448-40959"})"
           "\n");
}

TEST_CASE("log record: a name is text, whatever is in it") {
  LogRecord made = record_of(EventKind::mapping_made);
  made.namespace_name = "a\"\\\n\x1b";
  CHECK_EQ(nlohmann::json::parse(json_of(made)).at("namespace").get<std::string>(),
           made.namespace_name);
  const std::string text = json_of(made);
  CHECK_EQ(text.find('\n'), text.size() - 1);
}

TEST_CASE("log record: the beginning, and what was lost") {
  CHECK_EQ(json_of({.time = noon, .event = {.count = 3}, .begins = true}),
           R"({"time":"2026-11-29T12:00:00.123Z","event":"begun","sessions":3})"
           "\n");
  CHECK_EQ(json_of({.time = noon, .event = {.lost_kind = EventKind::mapping_made, .count = 5}}),
           R"({"time":"2026-11-29T12:00:00.123Z","event":"lost","of":"mapping_made","count":5})"
           "\n");
  CHECK_EQ(json_of({.time = noon, .event = {.count = 5}}),
           R"({"time":"2026-11-29T12:00:00.123Z","event":"lost","count":5})"
           "\n");
}
