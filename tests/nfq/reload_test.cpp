#include "nfq/reload.h"

#include <doctest/doctest.h>

using namespace swnat;
using namespace swnat::nfq;

namespace {

rules::Config running() {
  rules::Config config;
  config.file = "a.toml";
  config.external_interface = "wan0";
  config.external_addresses = {Ipv4Address::of(203, 0, 113, 1)};
  return config;
}

rules::Config config_with(const std::vector<std::string>& namespaces) {
  rules::Config config;
  for (const std::string& name : namespaces) config.namespaces.emplace_back().name = name;
  return config;
}

using Lines = std::vector<std::string>;

struct Change {
  const char* key;
  void (*apply)(rules::Config& config);
};

}  // namespace

TEST_CASE(
    "a reload may change timeouts, limits, filtering, namespaces, rules and who may change "
    "things") {
  rules::Config loaded = running();
  loaded.policy.timeouts.udp = std::chrono::seconds(1);
  loaded.policy.hairpin = false;
  loaded.policy.filtering = Filtering::endpoint_independent;
  loaded.policy.at_limit = AtLimit::refuse;
  loaded.namespaces.emplace_back().policy.session_limit = 3;
  loaded.metrics_textfile = "/run/swnat.prom";
  loaded.admin_group = rules::Group{"netadmin", 77};
  loaded.policy.drops.emplace_back();
  loaded.policy.redirects.emplace_back();
  loaded.policy.forwards.emplace_back();
  CHECK(fixed_keys_changed(running(), loaded).empty());
}

TEST_CASE("a reload may change the sizes of port blocks, and which namespaces have some") {
  rules::Config before = running();
  before.namespaces.resize(2);
  before.namespaces[0].policy.port_block = 64;
  rules::Config loaded = before;
  loaded.namespaces[0].policy.port_block = 0;
  loaded.namespaces[1].policy.port_block = 512;
  CHECK(fixed_keys_changed(before, loaded).empty());
}

TEST_CASE("a reload may change the blocks of a range whose members have limits of their own") {
  rules::Config before = running();
  before.namespaces.resize(3);
  before.namespaces[0].policy = {.first = 1, .last = 2, .port_block = 64};
  before.namespaces[1].policy = {.first = 1, .last = 1};
  before.namespaces[2].policy = {.first = 2, .last = 2};
  rules::Config loaded = before;
  loaded.namespaces[0].policy.port_block = 0;
  CHECK(fixed_keys_changed(before, loaded).empty());
  loaded.namespaces[1].policy.port_block = 64;
  CHECK_EQ(fixed_keys_changed(before, loaded).size(), 1u);
}

TEST_CASE("a reload names each key that cannot change") {
  const Change changes[] = {
      {"external.interface", [](rules::Config& config) { config.external_interface = "wan1"; }},
      {"external.addresses", [](rules::Config& config) { config.external_addresses.clear(); }},
      {"external.ports",
       [](rules::Config& config) {
         config.policy.ports = {40000, 65535};
       }},
      {"nat.mapping",
       [](rules::Config& config) { config.policy.mapping = Mapping::address_and_port_dependent; }},
      {"nat.port_block (from 0 for all namespaces to blocks, or back)",
       [](rules::Config& config) { config.namespaces.emplace_back().policy.port_block = 64; }},
      {"nat.fwmark_mask", [](rules::Config& config) { config.fwmark_mask = 0xff; }},
      {"nat.max_sessions", [](rules::Config& config) { ++config.max_sessions; }},
      {"nat.populate_memory", [](rules::Config& config) { config.populate_memory = true; }},
      {"queue.first", [](rules::Config& config) { ++config.first_queue; }},
      {"queue.workers", [](rules::Config& config) { ++config.workers; }},
      {"queue.max_packets", [](rules::Config& config) { ++config.max_packets; }},
      {"queue.fail_open", [](rules::Config& config) { config.fail_open = true; }},
      {"control.socket", [](rules::Config& config) { config.control_socket += "2"; }},
      {"control.state", [](rules::Config& config) { config.state_file += "2"; }},
      {"metrics.listen",
       [](rules::Config& config) {
         config.metrics_listen = {Ipv4Address::of(127, 0, 0, 1), 9469};
       }},
  };
  rules::Config all = running();
  for (const Change& change : changes) {
    rules::Config loaded = running();
    change.apply(loaded);
    change.apply(all);
    const auto lines = fixed_keys_changed(running(), loaded);
    REQUIRE_EQ(lines.size(), 1u);
    CHECK_EQ(lines[0], std::string("a.toml: ") + change.key +
                           " cannot change while the daemon runs; restart to change it");
  }
  CHECK_EQ(fixed_keys_changed(running(), all).size(), std::size(changes));
}

TEST_CASE("a reload tells: a file that says the same changes nothing") {
  CHECK(changes_between(config_with({"blue", "green"}), config_with({"green", "blue"})).empty());
}

TEST_CASE("a reload tells: namespaces by what became of them") {
  rules::Config after = config_with({"blue", "red"});
  after.namespaces[0].policy.session_limit = 3;
  CHECK_EQ(changes_between(config_with({"blue", "green"}), after),
           Lines{"[[namespace]] added: red", "[[namespace]] removed: green",
                 "[[namespace]] changed: blue"});
}

TEST_CASE("a reload tells: settings and rules that differ") {
  rules::Config after = config_with({"blue"});
  after.policy.timeouts.udp = std::chrono::seconds(7);
  after.policy.hairpin = !after.policy.hairpin;
  after.policy.forwards.emplace_back().to.port = 80;
  CHECK_EQ(changes_between(config_with({"blue"}), after),
           Lines{"nat.hairpin changed", "[timeouts] changed", "[[forward]] changed"});
}

TEST_CASE("a reload tells: a list of many namespaces is cut") {
  std::vector<std::string> names;
  for (int i = 10; i < 30; ++i) names.push_back("n" + std::to_string(i));
  CHECK_EQ(changes_between(config_with({}), config_with(names)),
           Lines{"[[namespace]] added: n10, n11, n12, n13, n14, n15, n16, n17 and 12 others"});
}
