#include "nfq/metrics.h"

#include <doctest/doctest.h>

#include <chrono>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "nfq/prometheus_text.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

// Names as long as they may be, from fwmark 1 on.
rules::Config config_of(std::uint32_t namespaces) {
  rules::Config config;
  config.namespaces.resize(1);
  config.namespaces[0].name = std::string(32, 'n');
  config.namespaces[0].policy = {.first = 1, .last = namespaces, .session_limit = 4'000'000'000};
  config.ranges_by_fwmark = {0};
  return config;
}

Policy policy_of(std::uint32_t namespaces) {
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = 1, .last = namespaces, .session_limit = 100}};
  return policy;
}

DaemonNumbers numbers_of(std::uint32_t namespaces) {
  DaemonNumbers numbers;
  numbers.config = std::make_shared<const rules::Config>(config_of(namespaces));
  for (std::uint16_t i = 0; i < 64; ++i) {
    QueueReport queue;
    queue.number = i;
    queue.counts.fill(1'000'000'000'000);
    queue.kernel = KernelQueue{.number = i};
    numbers.queues.push_back(queue);
  }
  return numbers;
}

std::string text_of(const Engine& engine, DaemonNumbers numbers) {
  Metrics metrics(engine, std::move(numbers));
  std::string text;
  while (metrics.append_piece(text)) {
  }
  return text;
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

std::size_t lines_of(const std::string& text, const std::string& begin) {
  std::istringstream lines(text);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) count += line.starts_with(begin) ? 1U : 0U;
  return count;
}

std::string named(std::uint32_t fwmark) {
  return "{namespace=\"" + std::string(32, 'n') + "-" + std::to_string(fwmark) + "\"";
}

}  // namespace

TEST_CASE("metrics: each has HELP and TYPE before its samples, and comes once") {
  Gateway gateway(policy_of(2));
  gateway.open(protocol::udp, 1, client, server);
  std::istringstream lines(text_of(gateway.engine, numbers_of(2)));
  const std::regex sample(R"(([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.]+)");
  std::set<std::string> seen;
  std::string helped;
  std::string typed;
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    std::istringstream words(line);
    std::string hash, keyword, name, type;
    words >> hash >> keyword >> name >> type;
    if (keyword == "HELP") {
      CHECK(seen.insert(name).second);
      helped = name;
    } else if (keyword == "TYPE") {
      CHECK_EQ(name, helped);
      typed = name;
      CHECK_EQ(type, name.ends_with("_total") ? "counter" : "gauge");
    } else {
      std::smatch found;
      REQUIRE(std::regex_match(line, found, sample));
      CHECK_EQ(found[1].str(), typed);
    }
  }
  CHECK_GT(seen.size(), 30);
}

TEST_CASE("metrics: what each namespace has and sends") {
  Gateway gateway(policy_of(2));
  gateway.open(protocol::udp, 2, client, server);
  const std::string text = text_of(gateway.engine, numbers_of(2));
  CHECK(has_line(text, "swnat_sessions" + named(1) + "} 0"));
  CHECK(has_line(text, "swnat_sessions" + named(2) + "} 1"));
  CHECK(has_line(text, "swnat_session_limit" + named(2) + "} 100"));
  CHECK(has_line(text, "swnat_ports" + named(2) + "} 1"));
  CHECK(has_line(text, "swnat_namespace_packets_total" + named(2) + ",direction=\"outbound\"} 1"));
  CHECK(has_line(text, "swnat_namespace_packets_total" + named(2) + ",direction=\"inbound\"} 0"));
  CHECK(has_line(text, "swnat_table_sessions 1"));
  CHECK(has_line(text, "swnat_namespaces 2"));
  CHECK(has_line(text, "swnat_namespaces_shown 2"));
}

TEST_CASE("metrics: with 65,000 namespaces a scrape is small, and has the busiest ones") {
  constexpr std::uint32_t namespaces = 65'000;
  Gateway gateway(policy_of(namespaces), options_of(1, 65'536));
  gateway.open(protocol::udp, 64'000, client, server);
  gateway.open(protocol::udp, 7, client, server);
  const std::string text = text_of(gateway.engine, numbers_of(namespaces));
  CHECK_LT(text.size(), 1'000'000);
  CHECK_EQ(lines_of(text, "swnat_sessions{"), NamespaceMetrics::most_shown);
  CHECK(has_line(text, "swnat_sessions" + named(7) + "} 1"));
  CHECK(has_line(text, "swnat_sessions" + named(64'000) + "} 1"));
  CHECK(has_line(text, "swnat_namespaces 65000"));
  CHECK(has_line(text, "swnat_namespaces_shown 500"));
  CHECK(has_line(text, "swnat_table_sessions 2"));
}

TEST_CASE("metrics: a piece is small") {
  Gateway gateway(policy_of(NamespaceMetrics::most_shown));
  Metrics metrics(gateway.engine, numbers_of(NamespaceMetrics::most_shown));
  std::string text;
  for (bool goes_on = true; goes_on; text.clear()) {
    goes_on = metrics.append_piece(text);
    CHECK_LT(text.size(), 100'000);
  }
}

TEST_CASE("metrics: with thousands of limited forwards a scrape is small") {
  Policy policy = policy_of(2);
  for (std::uint16_t i = 0; i < 4096; ++i) {
    ForwardRule forward;
    forward.protocol = protocol::tcp;
    forward.external = {external_host, static_cast<std::uint16_t>(1000 + i)};
    forward.to = {client.address, 80};
    forward.namespace_id = 1;
    forward.session_limit = 5;
    policy.forwards.push_back(forward);
  }
  Gateway gateway(policy);
  const std::string text = text_of(gateway.engine, numbers_of(2));
  CHECK_LT(text.size(), 1'000'000);
  CHECK_EQ(lines_of(text, "swnat_forward_sessions{"), 500);
}

TEST_CASE("metrics: the state of rules and the age of a worker's last beat") {
  Gateway gateway(policy_of(1));
  DaemonNumbers numbers = numbers_of(1);
  numbers.rules.seen.state = rules::RuleState::differ;
  numbers.queues[3].silence = std::chrono::milliseconds(12'345);
  numbers.dropped_by_rules = {{"a\"b\\c\nd", 5}};
  const std::string text = text_of(gateway.engine, numbers);
  CHECK(has_line(text, "swnat_rules_as_configured 0"));
  CHECK(has_line(text, "swnat_rules_state{state=\"differ\"} 1"));
  CHECK(has_line(text, "swnat_rules_state{state=\"missing\"} 0"));
  CHECK(has_line(text, "swnat_worker_silence_seconds{queue=\"3\"} 12.345"));
  CHECK(has_line(text, R"(swnat_rules_dropped_total{counter="a\"b\\c\nd"} 5)"));
}

TEST_CASE("metrics: sessions that ended, by the cause") {
  Gateway gateway(policy_of(1));
  gateway.open(protocol::udp, 1, client, server);
  gateway.expire_after(5min);
  const std::string text = text_of(gateway.engine, numbers_of(1));
  CHECK(has_line(text, "swnat_sessions_ended_total{cause=\"expired\"} 1"));
  CHECK(has_line(text, "swnat_sessions_ended_total{cause=\"evicted\"} 0"));
  CHECK_EQ(lines_of(text, "swnat_sessions_ended_total{cause=\"none\"}"), 0);
}
