#include "tools/event_line.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <string>

using namespace swnat::ctl;

namespace {

// With a time of day that does not depend on where this is.
std::string line(const char* event) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  Json json = Json::parse(event);
  json["time"] = 1'700'000'000.75;
  return event_line(json);
}

}  // namespace

TEST_CASE("event line: who, as what, with whom, and why no more") {
  CHECK_EQ(line(R"({"event":"session_made","namespace":"blue","protocol":"udp",
                    "internal":"10.0.0.2:1","external":"203.0.113.1:4","remote":"198.51.100.7:53",
                    "direction":"outbound"})"),
           "22:13:20 session made   blue udp 10.0.0.2:1 > 203.0.113.1:4 > 198.51.100.7:53\n");
  CHECK_EQ(line(R"({"event":"mapping_ended","namespace":"blue","protocol":"tcp",
                    "internal":"[fd00::2]:1","external":"[2001:db8::1]:4","cause":"expired"})"),
           "22:13:20 mapping ended  blue tcp [fd00::2]:1 > [2001:db8::1]:4 expired\n");
}

TEST_CASE("event line: a session that ended says how long it lived") {
  CHECK_EQ(line(R"({"event":"session_ended","namespace":"blue","protocol":"tcp","age":61.5,
                    "internal":"10.0.0.2:1","external":"203.0.113.1:4","remote":"198.51.100.7:53",
                    "cause":"closed"})"),
           "22:13:20 session ended  blue tcp 10.0.0.2:1 > 203.0.113.1:4 > 198.51.100.7:53 closed "
           "after 1m 1s\n");
}

TEST_CASE("event line: a refused packet has no external endpoint") {
  CHECK_EQ(line(R"({"event":"refused","namespace":"vpn-1000","protocol":"icmp",
                    "internal":"10.0.0.2:1","remote":"198.51.100.7","reason":"session_limit"})"),
           "22:13:20 refused        vpn-1000 icmp 10.0.0.2:1 > - > 198.51.100.7 session_limit\n");
}

TEST_CASE("event line: a block has ports") {
  CHECK_EQ(line(R"({"event":"block_given_up","namespace":"blue","external":"203.0.113.1",
                    "ports":"40960-41471"})"),
           "22:13:20 block given up blue 203.0.113.1 ports 40960-41471\n");
}

TEST_CASE("event line: how many are lost, and of which kind if that is known") {
  CHECK_EQ(line(R"({"event":"lost","count":1})"), "22:13:20 1 event lost\n");
  CHECK_EQ(line(R"({"event":"lost","of":"session_made","count":12})"),
           "22:13:20 12 events lost (session made)\n");
}

TEST_CASE("event line: what is no event is an error") {
  CHECK_THROWS_AS(line("{}"), Json::exception);
  CHECK_THROWS_AS(line(R"({"event":7})"), Json::exception);
}
