// What a request for a trace must be like, and which steps it is answered with.
#include "nfq/trace.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "nfq/error.h"
#include "swnat/engine.h"

using namespace swnat;
using namespace swnat::nfq;
using Json = nlohmann::ordered_json;

namespace {

constexpr Time now{1'000'000};

rules::Config config() {
  rules::Config config;
  config.external_interface = "wan0";
  config.external_addresses = {*parse_address("203.0.113.1"), *parse_address("2001:db8:1::1")};
  config.workers = 2;
  rules::NamespaceConfig blue;
  blue.name = "blue";
  blue.interfaces = {"blue0"};
  blue.subnets = {*parse_network("10.0.0.0/24"), *parse_network("fd00::/64")};
  blue.policy = {.first = 1, .last = 1, .session_limit = 2};
  blue.policy.untranslated = {*parse_network("192.0.2.0/24")};
  rules::NamespaceConfig vpn;
  vpn.name = "vpn";
  vpn.policy = {.first = 1000, .last = 1009};
  config.namespaces = {blue, vpn};
  config.singles_by_fwmark = {0};
  config.ranges_by_fwmark = {1};
  config.policy.at_limit = AtLimit::refuse;
  config.policy.drops = {{.protocol = 17, .ports = {6881, 6889}},
                         {.protocol = 6, .ports = {25, 25}}};
  config.drop_numbers = {1, 2};
  config.redirect_numbers = {1};
  config.policy.redirects = {
      {.from = *parse_endpoint("10.0.0.243:53"), .to = *parse_endpoint("198.51.100.9:5353")}};
  config.policy.forwards = {{.protocol = 6,
                             .external = *parse_endpoint("203.0.113.1:8080"),
                             .namespace_id = 1,
                             .to = *parse_endpoint("10.0.0.2:80")}};
  return config;
}

rules::Inspection seen(rules::RuleState state) {
  rules::Inspection inspection;
  inspection.state = state;
  return inspection;
}

// An engine and a kernel that says what a test tells it to.
struct Traced {
  rules::Config config = ::config();
  rules::Inspection rules = seen(rules::RuleState::as_configured);
  rules::RouteAnswer out{.kind = rules::RouteKind::leaves, .interface = "wan0"};
  rules::RouteAnswer back{.kind = rules::RouteKind::leaves, .interface = "blue0"};
  Engine engine{{.shards = 2, .max_sessions = 100, .secret = {1, 2, 3, 4}},
                std::make_shared<const Policy>(rules::make_policy(config))};
  std::vector<rules::RouteQuestion> asked;

  Json trace(const Json& request) { return trace(requested_trace(request, config)); }
  Json trace(const TraceRequest& request) {
    return trace_json(
        request,
        {config, rules, [&](const Question& question) { return engine.outlook(question, now); },
         [&](const rules::RouteQuestion& question) {
           asked.push_back(question);
           return question.interface == "wan0" ? back : out;
         }});
  }
};

Json leaving(const std::string& to, const std::string& protocol = "tcp",
             const std::string& from = "10.0.0.2:40002") {
  return {{"namespace", "blue"}, {"to", to}, {"protocol", protocol}, {"from", from}};
}

std::vector<std::string> steps(const Json& trace) {
  std::vector<std::string> names;
  for (const Json& step : trace.at("steps")) names.push_back(step.at("step"));
  return names;
}

Json step(const Json& trace, const std::string& name) {
  for (const Json& each : trace.at("steps")) {
    if (each.at("step") == name) return each;
  }
  FAIL("there is no step " << name << " in " << trace.dump());
  return {};
}

std::string outcome(const Json& trace) {
  const Json& all = trace.at("outcome");
  return all.at("verdict").get<std::string>() + " " + all.at("reason").get<std::string>();
}

std::string refusal(const Json& request) {
  try {
    requested_trace(request, config());
  } catch (const Error& wrong) {
    return wrong.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("trace: a packet out, with the steps in its order") {
  Traced traced;
  const Json trace = traced.trace(leaving("198.51.100.7:443"));
  CHECK_EQ(steps(trace),
           std::vector<std::string>{"rules", "namespace", "route", "queue", "drop", "session_limit",
                                    "max_sessions", "external", "timeout", "answer"});
  CHECK_EQ(outcome(trace), "accept translated_outbound");
  CHECK_EQ(step(trace, "queue").at("queue"), 1);  // bit 1 of port 40002
  CHECK_EQ(step(trace, "external").at("port"), 40002);
  CHECK_EQ(step(trace, "external").at("source"), "own");
  CHECK_EQ(step(trace, "session_limit").at("limit"), 2);
  REQUIRE_EQ(traced.asked.size(), 2);
  CHECK_EQ(traced.asked[0].fwmark, 1);
  CHECK_EQ(to_text(traced.asked[1].to), "10.0.0.2");
  CHECK_EQ(traced.asked[1].interface, "wan0");
}

TEST_CASE("trace: a rule that is not the file's was added at run time, and pieces are one rule") {
  Traced traced;
  traced.config.drop_numbers = {1};  // the second is not the file's
  const Json added = step(traced.trace(leaving("198.51.100.7:25")), "drop");
  CHECK_EQ(added.at("text"), "drop added at run time: tcp port 25");
  CHECK(added.at("rule").is_null());
  traced.config.drop_numbers = {1, 1};
  CHECK_EQ(step(traced.trace(leaving("198.51.100.7:25")), "drop").at("rule"), 1);
}

TEST_CASE("trace: a member's interface is what it has now") {
  Traced traced;
  traced.config.namespaces[1].members = {"ppp*"};
  traced.config.namespaces[1].subnets = {*parse_network("10.0.0.0/24")};
  TraceRequest request = requested_trace(
      {{"namespace", "vpn-1003"}, {"to", "198.51.100.7:443"}, {"protocol", "tcp"}}, traced.config);
  CHECK(request.is_of_member);
  CHECK_EQ(outcome(traced.trace(request)), "drop waiting_member");
  request.interface = "ppp0";
  CHECK_EQ(outcome(traced.trace(request)), "accept translated_outbound");
  request.question.source = *parse_endpoint("192.0.2.9:5000");
  CHECK_EQ(outcome(traced.trace(request)), "drop forged_source");
}

TEST_CASE("trace: rules are named by their number in the file") {
  Traced traced;
  const Json dropped = traced.trace(leaving("198.51.100.7:25"));
  CHECK_EQ(outcome(dropped), "drop dropped_by_rule");
  CHECK_EQ(step(dropped, "drop").at("rule"), 2);
  CHECK_EQ(step(dropped, "drop").at("result"), "stop");
  CHECK_EQ(step(dropped, "drop").at("text"), "[[drop]] 2: tcp port 25");
  const Json redirected = traced.trace(leaving("10.0.0.243:53", "udp"));
  CHECK_EQ(outcome(redirected), "accept translated_outbound");
  CHECK_EQ(step(redirected, "redirect").at("rule"), 1);
  CHECK_EQ(step(redirected, "queue").at("hook"), "PREROUTING");
  const Json forwarded = traced.trace(
      {{"external", "203.0.113.1:8080"}, {"remote", "198.51.100.7:5000"}, {"protocol", "tcp"}});
  CHECK_EQ(outcome(forwarded), "accept translated_inbound");
  CHECK_EQ(step(forwarded, "forward").at("internal"), "10.0.0.2:80");
  CHECK_EQ(traced.asked.back().fwmark, 1);
}

TEST_CASE("trace: what the kernel does not route never meets the engine") {
  Traced traced;
  using Kind = rules::RouteKind;
  for (const auto& [kind, expected] :
       {std::pair{Kind::none, "drop no_route"}, std::pair{Kind::unreachable, "drop unreachable"},
        std::pair{Kind::blackhole, "drop blackhole"}, std::pair{Kind::local, "pass local"},
        std::pair{Kind::wrong_source, "drop wrong_source"}}) {
    traced.out = {.kind = kind};
    const Json trace = traced.trace(leaving("198.51.100.7:443"));
    CHECK_EQ(outcome(trace), expected);
    CHECK_EQ(steps(trace).back(), "route");
  }
  traced.out = {.kind = Kind::leaves, .interface = "lan0"};
  CHECK_EQ(outcome(traced.trace(leaving("198.51.100.7:443"))), "pass other_interface");
  // What cannot be known stops nothing.
  traced.out = {.fault = "no answer"};
  const Json unknown = traced.trace(leaving("198.51.100.7:443"));
  CHECK_EQ(step(unknown, "route").at("result"), "unknown");
  CHECK_EQ(outcome(unknown), "accept translated_outbound");
}

TEST_CASE("trace: answers that would not come back are told") {
  Traced traced;
  traced.back = {.kind = rules::RouteKind::leaves, .interface = "wan0"};
  const Json trace = traced.trace(leaving("198.51.100.7:443"));
  CHECK_EQ(step(trace, "answer").at("result"), "fault");
  CHECK_EQ(outcome(trace), "accept translated_outbound");
}

TEST_CASE("trace: rules that are missing or differ") {
  Traced traced;
  traced.rules = seen(rules::RuleState::missing);
  const Json missing = traced.trace(leaving("198.51.100.7:443"));
  CHECK_EQ(outcome(missing), "unknown rules_missing");
  CHECK_EQ(missing.at("steps").size(), 1);
  traced.rules = seen(rules::RuleState::differ);
  traced.rules.differences = {"nft table inet swnat"};
  const Json differing = traced.trace(leaving("198.51.100.7:443"));
  CHECK_EQ(step(differing, "rules").at("result"), "fault");
  CHECK_EQ(step(differing, "rules").at("differences").size(), 1);
  CHECK_EQ(outcome(differing), "accept translated_outbound");
}

TEST_CASE("trace: what the rules never queue, and a source that they drop") {
  Traced traced;
  const Json closed = traced.trace(
      {{"external", "203.0.113.1:22"}, {"remote", "198.51.100.7:5000"}, {"protocol", "tcp"}});
  CHECK_EQ(outcome(closed), "pass not_queued");
  CHECK_EQ(outcome(traced.trace(leaving("203.0.113.1:22"))), "pass not_queued");
  CHECK_EQ(outcome(traced.trace(leaving("203.0.113.1", "icmp"))), "pass not_queued");
  CHECK_EQ(outcome(traced.trace(leaving("198.51.100.7:443", "tcp", "10.9.0.1:1000"))),
           "drop forged_source");
  const Json nobody = traced.trace(
      {{"external", "203.0.113.1:40000"}, {"remote", "198.51.100.7:5000"}, {"protocol", "udp"}});
  CHECK_EQ(outcome(nobody), "pass no_mapping");
  const Json plain = traced.trace(leaving("192.0.2.5:80"));
  CHECK_EQ(outcome(plain), "accept untranslated");
}

TEST_CASE("trace: without --from a host of the namespace is assumed, of a range's member none") {
  Traced traced;
  Json request = leaving("198.51.100.7:443");
  request.erase("from");
  const Json v4 = traced.trace(request);
  CHECK_EQ(v4.at("packet").at("from"), "10.0.0.1:40000");
  CHECK_EQ(v4.at("packet").at("from_assumed"), true);
  request["to"] = "[2001:db8::7]:443";
  CHECK_EQ(traced.trace(request).at("packet").at("from"), "[fd00::1]:40000");
  request["from"] = "fd00::9";
  const Json v6 = traced.trace(request);
  CHECK_EQ(v6.at("packet").at("from"), "[fd00::9]:40000");
  CHECK_EQ(v6.at("packet").at("from_assumed"), false);
  CHECK_EQ(v6.at("packet").at("port_assumed"), true);
  const Json member = traced.trace({{"namespace", "vpn-1003"},
                                    {"to", "198.51.100.7:443"},
                                    {"from", "10.1.1.1"},
                                    {"protocol", "tcp"}});
  CHECK_EQ(member.at("packet").at("namespace"), "vpn-1003");
  CHECK_EQ(step(member, "namespace").at("result"), "unknown");
  CHECK_EQ(traced.asked.front().interface, "blue0");
}

TEST_CASE("trace: what is wrong with a request, and what is allowed") {
  const auto with = [](Json request, const char* key, const char* value) {
    if (value == nullptr) {
      request.erase(key);
    } else {
      request[key] = value;
    }
    return refusal(request);
  };
  const Json out = leaving("198.51.100.7:443");
  const Json in{
      {"external", "203.0.113.1:8080"}, {"remote", "198.51.100.7:5"}, {"protocol", "tcp"}};
  CHECK_EQ(refusal(out), "none");
  CHECK_EQ(refusal(in), "none");
  for (const auto& one : std::vector<std::pair<std::string, const char*>>{
           {with(out, "namespace", "red"), "'red' is no namespace"},
           {with(out, "namespace", "vpn"), "such as vpn-1000"},
           {with(out, "namespace", nullptr), "--namespace is missing"},
           {with(out, "to", nullptr), "--to is missing"},
           {with(out, "to", "198.51.100.7"), "--to '198.51.100.7' has no port (allowed: "},
           {with(out, "to", "198.51.100.7:0"), "is no endpoint"},
           {with(out, "to", "host:80"), "is no endpoint (allowed: "},
           {with(out, "to", "[2001:db8::7]:443"), "are of different families"},
           {with(out, "protocol", nullptr), "a protocol must be named (allowed: tcp, udp"},
           {with(out, "protocol", "ospf"), "'ospf' is no protocol that is translated"},
           {with(out, "protocol", "icmp"), "has a port, but its protocol has none there"},
           {with(out, "from", "x"), "--from 'x' is no endpoint"},
           {with(in, "external", "198.51.100.1:80"), "(allowed: 203.0.113.1, 2001:db8:1::1)"},
           {with(in, "remote", nullptr), "--remote is missing"},
           {with(in, "namespace", "blue"), "--namespace is of a packet on its way out"},
           {with(in, "external", "203.0.113.1"), "has no port"}}) {
    CAPTURE(one.first);
    CHECK_NE(one.first.find(one.second), std::string::npos);
  }
  CHECK_NE(refusal({{"protocol", 6}}).find("'protocol' must be text"), std::string::npos);
}
