// What a client that watches asks for, and the lines that it gets.
#include "nfq/watch.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "nfq/error.h"
#include "nfq/event_json.h"
#include "swnat/address_text.h"
#include "swnat/protocol.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

namespace {

EventKinds asked(const Json& events) {
  return requested_events(Json{{"events", events}});
}

rules::Config config() {
  rules::Config config;
  config.namespaces.emplace_back().name = "blue";
  config.namespaces[0].policy.first = config.namespaces[0].policy.last = 1;
  config.singles_by_fwmark = {0};
  return config;
}

// Without the time, which is not the test's.
Json json(const Event& event) {
  Json json = event_json(event, config(), 0s);
  json.erase("time");
  return json;
}

Event event_of(EventKind kind) {
  Event event;
  event.kind = kind;
  event.namespace_id = 1;
  event.protocol = protocol::tcp;
  event.internal = {*parse_address("10.0.0.2"), 1000};
  event.external = {*parse_address("203.0.113.1"), 40000};
  event.remote = {*parse_address("198.51.100.7"), 443};
  return event;
}

}  // namespace

TEST_CASE("watch: the events that are asked for, or all") {
  CHECK((requested_events(Json{{"command", "watch"}}) == EventKinds::all()));
  CHECK((asked("mapping,block") == EventKinds{EventKind::mapping_made, EventKind::mapping_ended,
                                              EventKind::block_taken, EventKind::block_given_up}));
  CHECK((asked("refused") == EventKinds{EventKind::refused}));
  for (const char* wrong : {"", "sessions", "session,", ",session", "session refused", "lost"}) {
    CHECK_THROWS_AS(asked(wrong), Error);
  }
  CHECK_THROWS_AS(asked(Json::array({"session"})), Error);
}

TEST_CASE("watch: a line has what belongs to the event") {
  CHECK_EQ(json(event_of(EventKind::session_made)).dump(),
           R"({"event":"session_made","namespace":"blue","fwmark":1,"protocol":"tcp",)"
           R"("internal":"10.0.0.2:1000","external":"203.0.113.1:40000",)"
           R"("remote":"198.51.100.7:443","direction":"outbound"})");

  Event ended = event_of(EventKind::session_ended);
  ended.cause = EndCause::evicted;
  ended.is_from_outside = ended.is_forward = true;
  ended.traffic = {{2, 200}, {1, 90}};
  ended.age = std::chrono::milliseconds(61'500);
  const Json of_ended = json(ended);
  CHECK_EQ(of_ended["cause"], "evicted");
  CHECK_EQ(of_ended["direction"], "inbound");
  CHECK_EQ(of_ended["forward"], true);
  CHECK_EQ(of_ended["age"], 61.5);
  CHECK_EQ(of_ended["outbound"].dump(), R"({"packets":2,"bytes":200})");
  CHECK_EQ(of_ended["inbound"].dump(), R"({"packets":1,"bytes":90})");

  Event refused = event_of(EventKind::refused);
  refused.external = {};
  refused.reason = Reason::session_limit;
  CHECK_EQ(json(refused)["reason"], "session_limit");
  CHECK_FALSE(json(refused).contains("external"));
}

TEST_CASE("watch: blocks have ports, pings an identifier at one end, mappings perhaps no remote") {
  Event block;
  block.kind = EventKind::block_taken;
  block.namespace_id = 1;
  block.external = {*parse_address("203.0.113.1"), 65024};
  block.count = 512;
  CHECK_EQ(json(block).dump(),
           R"({"event":"block_taken","namespace":"blue","fwmark":1,"external":"203.0.113.1",)"
           R"("ports":"65024-65535"})");

  Event ping = event_of(EventKind::mapping_made);
  ping.protocol = protocol::icmp;
  CHECK_EQ(json(ping)["external"], "203.0.113.1:40000");
  CHECK_EQ(json(ping)["remote"], "198.51.100.7");
  for (const IpEndpoint& none : {IpEndpoint{Ipv4Address{}, 0}, IpEndpoint{Ipv6Address{}, 0}}) {
    ping.remote = none;
    CHECK_FALSE(json(ping).contains("remote"));
  }
}

TEST_CASE("watch: what is lost is counted, of its kind if that is known") {
  Event lost;
  lost.count = 5;
  CHECK_EQ(json(lost).dump(), R"({"event":"lost","count":5})");
  lost.lost_kind = EventKind::refused;
  CHECK_EQ(json(lost).dump(), R"({"event":"lost","of":"refused","count":5})");
}

TEST_CASE("watch: an event that is past has an earlier time") {
  const Event event = event_of(EventKind::session_made);
  const double now = event_json(event, config(), 0s)["time"];
  CHECK_LE(event_json(event, config(), 1h)["time"].get<double>(), now - 3500);
}
