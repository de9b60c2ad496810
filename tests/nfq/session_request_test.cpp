#include "nfq/session_request.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "nfq/error.h"
#include "rules/text/request_words.h"
#include "swnat/address_text.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

namespace {

rules::NamespaceConfig named(const char* name, std::uint32_t first, std::uint32_t last) {
  rules::NamespaceConfig config;
  config.name = name;
  config.policy.first = first;
  config.policy.last = last;
  return config;
}

rules::Config config() {
  rules::Config config;
  config.namespaces = {named("blue", 1, 1), named("vpn", 1000, 1009), named("guest", 1004, 1004)};
  config.singles_by_fwmark = {0, 2};
  config.ranges_by_fwmark = {1};
  return config;
}

SessionPattern read(const char* key, const std::string& text) {
  return requested_sessions(Json{{key, text}}, config());
}

EndpointPattern remote(const std::string& text) {
  return read("remote", text).remote;
}

EndpointPattern pattern(const char* network, PortRange ports = {0, 65535}) {
  return {parse_network(network), ports};
}

}  // namespace

TEST_CASE("session_request: nothing asked for means all") {
  CHECK((requested_sessions(Json{{"command", "flush"}}, config()) == SessionPattern{}));
}

TEST_CASE("session_request: namespaces by name, a range's members, one of them") {
  using Ranges = std::vector<NamespaceRange>;
  CHECK((read("namespace", "blue").namespaces == Ranges{{1, 1}}));
  CHECK((read("namespace", "vpn").namespaces == Ranges{{1000, 1003}, {1005, 1009}}));
  CHECK((read("namespace", "vpn-1003").namespaces == Ranges{{1003, 1003}}));
  CHECK((read("namespace", "guest").namespaces == Ranges{{1004, 1004}}));
  for (const char* wrong :
       {"", "red", "vpn-1004", "vpn-1010", "vpn-", "1", "blue-1", "vpn-01000"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(read("namespace", wrong), Error);
  }
}

TEST_CASE("session_request: some members of a range, and what a glob means") {
  using Ranges = std::vector<NamespaceRange>;
  CHECK((read("namespace", "vpn-1002-1007").namespaces == Ranges{{1002, 1003}, {1005, 1007}}));
  CHECK((read("namespace", "vpn-1008-1008").namespaces == Ranges{{1008, 1008}}));
  CHECK((read("namespace", "*").namespaces == Ranges{{1, 1}, {1000, 1009}}));
  CHECK((read("namespace", "vpn*").namespaces == Ranges{{1000, 1003}, {1005, 1009}}));
  CHECK((read("namespace", "vpn-100?").namespaces == Ranges{{1000, 1003}, {1005, 1009}}));
  CHECK((read("namespace", "*5").namespaces == Ranges{{1005, 1005}}));
  CHECK((read("namespace", "?*e").namespaces == Ranges{{1, 1}}));
  CHECK((read("namespace", "**u*s***").namespaces == Ranges{{1004, 1004}}));
  for (const char* wrong : {"vpn-1002-1010", "vpn-999-1001", "vpn-1005-1003", "vpn-1004-1004",
                            "vpn-1000-01001", "blue-1-1", "x*", "?", "vpn-10?", "*blue?"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(read("namespace", wrong), Error);
  }
}

TEST_CASE("session_request: protocols by name and number") {
  CHECK_EQ(read("protocol", "tcp").protocol, 6);
  CHECK_EQ(read("protocol", "icmp").protocol, 1);
  CHECK_EQ(read("protocol", "icmpv6").protocol, 58);
  CHECK_EQ(read("protocol", "47").protocol, 47);
  for (const char* wrong : {"", "TCP", "256", "-1", "6x"}) {
    CHECK_THROWS_AS(read("protocol", wrong), Error);
  }
}

TEST_CASE("session_request: addresses, networks and ports of both families") {
  CHECK((remote("10.0.0.2") == pattern("10.0.0.2/32")));
  CHECK((remote("10.0.0.0/24") == pattern("10.0.0.0/24")));
  CHECK((remote("10.0.0.0/24:80") == pattern("10.0.0.0/24", {80, 80})));
  CHECK((remote("10.0.0.2:1000-1999") == pattern("10.0.0.2/32", {1000, 1999})));
  CHECK((remote("fd00::2") == pattern("fd00::2/128")));
  CHECK((remote("fd00::/8") == pattern("fd00::/8")));
  CHECK((remote("[fd00::2]:80") == pattern("fd00::2/128", {80, 80})));
  CHECK((remote("[fd00::/8]") == pattern("fd00::/8")));
  CHECK((remote(":443") == EndpointPattern{.ports = {443, 443}}));
  CHECK((remote(":0-1023") == EndpointPattern{.ports = {0, 1023}}));
  CHECK((read("internal", ":1").internal == EndpointPattern{.ports = {1, 1}}));
  CHECK((read("external", ":1").external == EndpointPattern{.ports = {1, 1}}));
  for (const char* wrong :
       {"", ":", "80", "10.0.0.2:", "10.0.0.2:65536", "10.0.0.2:9-8", "10.0.0", "[fd00::2", "[]:80",
        "[fd00::2]80", "[fd00::2]:", "fd00::2:x", "10.0.0.2/33", ":80-", "10.0.0.2 "}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(remote(wrong), Error);
  }
}

TEST_CASE("session_request: state and idle time") {
  CHECK_EQ(read("state", "half-closed").state, "half-closed");
  for (const std::string_view state : rules::session_states) {
    CHECK_EQ(read("state", std::string(state)).state, state);
  }
  CHECK_THROWS_WITH_AS(read("state", "half-close"),
                       "'half-close' is no state of a session; did you mean 'half-closed'? "
                       "(allowed: active, opening, established, half-closed, closing, reset)",
                       Error);
  CHECK_EQ(read("idle", "5m").idle_at_least, 5min);
  CHECK_EQ(read("idle", ">5m").idle_at_least, 5min);
  CHECK_EQ(read("idle", "90").idle_at_least, 90s);
  CHECK_EQ(read("idle", "<2h4m").idle_at_most, 124min - 1ms);
  for (const char* wrong : {"", ">", "soon", "5m3", "-5"}) {
    CHECK_THROWS_AS(read("idle", wrong), Error);
  }
}

TEST_CASE("session_request: age, as far as it is told") {
  CHECK_EQ(read("age", "5m").age_at_least, 5min);
  CHECK_EQ(read("age", "<90").age_at_most, 90s - 1ms);
  CHECK_EQ(read("age", "30d").age_at_least, session_age_max);
  CHECK_EQ(read("age", "<30d").age_at_most, session_age_max - 1ms);
  CHECK((read("age", "5m").idle_at_least == 0ms));
  for (const char* wrong : {"", "<", "old", "30d1s", "<31d"}) {
    CHECK_THROWS_AS(read("age", wrong), Error);
  }
  CHECK_THROWS_WITH_AS(read("age", "31d"),
                       "'31d' is no age (allowed: seconds or text like 5m or 2h4m, up to 30d, "
                       "which is told of older ones, too; <5m for younger ones)",
                       Error);
}

TEST_CASE("session_request: what is wrong is said with what is allowed") {
  CHECK_THROWS_WITH_AS(read("protocol", "tpc"),
                       "'tpc' is no protocol; did you mean 'tcp'? (allowed: tcp, udp, icmp of "
                       "either family, icmpv6, …, or a number)",
                       Error);
  CHECK_THROWS_WITH_AS(requested_sessions(Json{{"state", 7}}, config()), "'state' must be text",
                       Error);
}
