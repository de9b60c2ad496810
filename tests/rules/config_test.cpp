// What a good configuration file becomes.
#include "rules/config/config.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <grp.h>

#include <array>
#include <bit>
#include <chrono>

#include "rules/config/networks.h"
#include "tests/support/temporary_file.h"

namespace swnat::rules {
namespace {

using namespace std::chrono_literals;

Config load(std::string_view text) {
  const test::TemporaryFile file(text);
  LoadResult result = load_config(file.path());
  for (const ConfigError& error : result.errors) FAIL_CHECK(error.text());
  REQUIRE(result.config);
  CHECK(result.config->file == file.path());
  return *std::move(result.config);
}

constexpr std::string_view full = R"(
[external]
interface = "wan0"
addresses = ["203.0.113.1", "203.0.113.2"]
ports     = "40000-50000"

[nat]
mapping       = "endpoint-independent"
filtering     = "endpoint-independent"
hairpin       = false
fwmark_mask   = 0xfff
max_sessions  = 1000
session_limit = 100
port_limit    = 64
port_block    = 512
at_limit      = "refuse"
populate_memory = true

[timeouts]
tcp_established = "2h5m"
tcp_transitory  = 0
udp             = 300
icmp            = "30s"

[queue]
first       = 10
workers     = 4
max_packets = 4096
fail_open   = false

[control]
repair = false
socket = "/run/other/control.sock"
state  = ""
admin_group = "daemon"

[metrics]
listen   = "[::1]:9469"
textfile = "/var/lib/prometheus/node-exporter/swnat.prom"

[pcp]
enabled           = true
max_per_namespace = 7
lifetime          = "1d"

[[namespace]]
name          = "green"
fwmark        = 2
interfaces    = ["green0", "green1"]
subnets       = ["10.0.0.0/24", "10.0.1.0/24"]
session_limit = 500
port_limit    = 0
port_block    = 0
external      = ["203.0.113.2"]
routes        = [{ to = "10.9.0.0/16", via = "10.0.0.254" }]

[[namespace]]
name   = "vpn"
fwmark = "1000-1999"

[[namespace]]
name   = "blue"
fwmark = 0x1
)";

constexpr std::string_view least = R"(
[external]
interface = "wan0"
addresses = ["203.0.113.1"]
[[namespace]]
name   = "blue"
fwmark = 1
)";

TEST_CASE("every value is read") {
  const Config config = load(full);
  CHECK(config.external_interface == "wan0");
  REQUIRE(config.external_addresses.size() == 2);
  CHECK(to_text(config.external_addresses[1]) == "203.0.113.2");
  CHECK(config.policy.ports == PortRange{40'000, 50'000});
  CHECK(config.policy.filtering == Filtering::endpoint_independent);
  CHECK_FALSE(config.policy.hairpin);
  CHECK(config.fwmark_mask == 0xfff);
  CHECK(config.max_sessions == 1000);
  CHECK(config.policy.at_limit == AtLimit::refuse);
  CHECK(config.populate_memory);
  CHECK(config.policy.timeouts == Timeouts{2h + 5min, 0s, 300s, 30s});
  CHECK(config.first_queue == 10);
  CHECK(config.workers == 4);
  CHECK(config.max_packets == 4096);
  CHECK(config.control_socket == "/run/other/control.sock");
  CHECK_FALSE(config.repair);
  CHECK(config.metrics_listen == parse_endpoint("[::1]:9469"));
  CHECK(config.metrics_textfile == "/var/lib/prometheus/node-exporter/swnat.prom");
  CHECK(config.pcp == PcpConfig{true, 7, 24h});
  CHECK(config.admin_group == Group{"daemon", ::getgrnam("daemon")->gr_gid});
  CHECK(config.state_file.empty());

  REQUIRE(config.namespaces.size() == 3);
  const NamespaceConfig& green = config.namespaces[0];
  CHECK(green.name == "green");
  CHECK(green.fwmark_first() == 2);
  CHECK_FALSE(green.is_range());
  CHECK(green.interfaces == std::vector<std::string>{"green0", "green1"});
  REQUIRE(green.subnets.size() == 2);
  CHECK(to_text(green.subnets[1]) == "10.0.1.0/24");
  REQUIRE(green.routes.size() == 1);
  CHECK(to_text(green.routes[0].to) == "10.9.0.0/16");
  CHECK(to_text(green.routes[0].via) == "10.0.0.254");
  CHECK(green.policy.session_limit == 500);
  CHECK(green.policy.port_limit == 0);
  CHECK(green.policy.port_block == 0);
  CHECK(green.policy.external == AddressLists{.v4 = {Ipv4Address::of(203, 0, 113, 2)}});
  CHECK(config.namespaces[1].is_range());
  CHECK(config.namespaces[1].fwmark_last() == 1999);
  CHECK(config.namespaces[1].policy.session_limit == 100);
  CHECK(config.namespaces[1].policy.port_limit == 64);
  CHECK(config.namespaces[1].policy.port_block == 512);
}

TEST_CASE("metrics may listen at every address") {
  for (const char* text : {"0.0.0.0:9469", "[::]:9469", "127.0.0.1:1", "[fe80::1]:65535"}) {
    CAPTURE(text);
    const Config config = load(fmt::format("{}\n[metrics]\nlisten = \"{}\"\n", least, text));
    CHECK(config.metrics_listen == parse_endpoint(text));
  }
}

TEST_CASE("what is not written has its default") {
  const Config config = load(least);
  CHECK(config.policy.ports == PortRange{32'768, 65'535});
  CHECK(config.policy.filtering == Filtering::address_dependent);
  CHECK(config.policy.hairpin);
  CHECK(config.fwmark_mask == 0xffff);
  CHECK(config.max_sessions == 262'144);
  CHECK(config.namespaces[0].policy.session_limit == 200);
  CHECK(config.namespaces[0].policy.port_limit == 0);
  CHECK(config.namespaces[0].policy.port_block == 0);
  CHECK(config.policy.at_limit == AtLimit::evict_oldest);
  CHECK_FALSE(config.populate_memory);
  CHECK(config.policy.timeouts == Timeouts{2h + 4min, 4min, 5min, 1min});
  CHECK(config.first_queue == 0);
  CHECK(std::has_single_bit(config.workers));
  CHECK(config.workers <= 64);
  CHECK(config.max_packets == 8192);
  CHECK(config.control_socket == "/run/swnat/control.sock");
  CHECK_FALSE(config.admin_group.has_value());
  CHECK_FALSE(config.metrics_listen.has_value());
  CHECK(config.metrics_textfile.empty());
  CHECK(config.pcp == PcpConfig{false, 32, 2h});
  CHECK(config.repair);
  CHECK(config.state_file == "/run/swnat/state");
  CHECK(config.policy.mapping == Mapping::endpoint_independent);
  CHECK_FALSE(config.fail_open);
  CHECK(config.namespaces[0].policy.external.empty());
  CHECK(config.namespaces[0].policy.untranslated.empty());
  CHECK(config.policy.drops.empty());
  CHECK(config.policy.redirects.empty());
  CHECK(config.policy.forwards.empty());
  CHECK_FALSE(config.log);
}

TEST_CASE("the default limit of a namespace fits a small table") {
  const Config config = load(std::string(least) + "[nat]\nmax_sessions = 50\n");
  CHECK(config.namespaces[0].policy.session_limit == 50);
}

TEST_CASE("every filtering is read") {
  const auto filtering = [](std::string_view name) {
    return load(std::string(least) + "[nat]\nfiltering = \"" + std::string(name) + "\"\n")
        .policy.filtering;
  };
  CHECK(filtering("endpoint-independent") == Filtering::endpoint_independent);
  CHECK(filtering("address-dependent") == Filtering::address_dependent);
  CHECK(filtering("address-and-port-dependent") == Filtering::address_and_port_dependent);
}

TEST_CASE("the engine's policy is sorted by fwmark") {
  const Policy policy = make_policy(load(full));
  CHECK(policy.external.v4.size() == 2);
  CHECK(policy.ports == PortRange{40'000, 50'000});
  CHECK(policy.filtering == Filtering::endpoint_independent);
  CHECK(policy.at_limit == AtLimit::refuse);
  CHECK_FALSE(policy.hairpin);
  CHECK(policy.timeouts.tcp_transitory == 0s);
  REQUIRE(policy.namespaces.size() == 3);
  CHECK(policy.namespaces[0].first == 1);
  CHECK(policy.namespaces[1].first == 2);
  CHECK(policy.namespaces[1].session_limit == 500);
  CHECK(policy.namespaces[1].port_limit == 0);
  CHECK(policy.namespaces[2].port_limit == 64);
  CHECK(policy.namespaces[1].port_block == 0);
  CHECK(policy.namespaces[2].port_block == 512);
  CHECK(policy.namespaces[1].external.v4.size() == 1);
  CHECK(policy.namespaces[2].first == 1000);
  CHECK(policy.namespaces[2].last == 1999);
}

constexpr std::string_view complete = R"(
[external]
interface = "wan0"
addresses = ["2001:db8:1::1", "203.0.113.1", "2001:db8:1::2", "203.0.113.2"]

[nat]
mapping = "address-and-port-dependent"

[queue]
fail_open = true

[[namespace]]
name         = "blue"
fwmark       = 7
interfaces   = ["blue0"]
subnets      = ["fd00::/64", "10.0.0.0/24"]
external     = ["2001:db8:1::2"]
routes       = [{ to = "fd09::/48", via = "fd00::fe" }, { to = "10.9.0.0/16", via = "10.0.0.254" }]
untranslated = ["198.51.100.0/24", "2001:db8:9::/48"]

[[namespace]]
name   = "vpn"
fwmark = "1000-1999"

[[drop]]
protocol = "udp"
port     = "6881-6889"
[[drop]]
protocol  = "tcp"
port      = 25
namespace = "blue"
[[drop]]
protocol  = "icmp"
namespace = "vpn"

[[redirect]]
protocol = "udp"
from     = "10.0.0.243:53"
to       = "10.7.0.0:5353"
[[redirect]]
protocol  = "tcp"
from      = "[2001:db8::53]:53"
to        = "[fd07::1]:5353"
namespace = "vpn-1234"

[[forward]]
protocol  = "tcp"
external  = "203.0.113.1:40080"
namespace = "blue"
to        = "10.9.0.2:80"
[[forward]]
protocol  = "udp"
external  = "[2001:db8:1::1]:1"
namespace = "vpn-1000"
to        = "[fd42::2]:65535"
session_limit = 7
)";

std::vector<std::string> texts(const std::vector<IpNetwork>& networks) {
  std::vector<std::string> all;
  for (const IpNetwork& each : networks) all.push_back(to_text(each));
  return all;
}

TEST_CASE("both families are read") {
  const Config config = load(complete);
  CHECK(config.policy.mapping == Mapping::address_and_port_dependent);
  CHECK(config.fail_open);
  REQUIRE(config.external_addresses.size() == 4);
  CHECK(to_text(config.external_addresses[2]) == "2001:db8:1::2");
  const NamespaceConfig& blue = config.namespaces[0];
  CHECK(texts(blue.subnets) == std::vector<std::string>{"fd00::/64", "10.0.0.0/24"});
  REQUIRE(blue.routes.size() == 2);
  CHECK(to_text(blue.routes[0].to) == "fd09::/48");
  CHECK(to_text(blue.routes[0].via) == "fd00::fe");
}

TEST_CASE("the engine's policy has the addresses by family") {
  const Policy policy = make_policy(load(complete));
  CHECK(policy.mapping == Mapping::address_and_port_dependent);
  REQUIRE(policy.external.v4.size() == 2);
  CHECK(to_text(policy.external.v4[1]) == "203.0.113.2");
  REQUIRE(policy.external.v6.size() == 2);
  CHECK(to_text(policy.external.v6[1]) == "2001:db8:1::2");
  const NamespacePolicy& blue = policy.namespaces[0];
  CHECK(blue.external.v4.empty());
  REQUIRE(blue.external.v6.size() == 1);
  CHECK(to_text(blue.external.v6[0]) == "2001:db8:1::2");
  CHECK(texts(blue.inside) ==
        std::vector<std::string>{"fd00::/64", "10.0.0.0/24", "fd09::/48", "10.9.0.0/16"});
  CHECK(texts(blue.untranslated) == std::vector<std::string>{"198.51.100.0/24", "2001:db8:9::/48"});
  CHECK(policy.namespaces[1].inside.empty());
}

TEST_CASE("rules reach the engine with their namespaces, in the file's order") {
  const Policy policy = make_policy(load(complete));
  REQUIRE(policy.drops.size() == 3);
  CHECK(policy.drops[0].protocol == 17);
  CHECK(policy.drops[0].ports == PortRange{6881, 6889});
  CHECK(policy.drops[0].namespaces == NamespaceRange{});
  CHECK(policy.drops[1].protocol == 6);
  CHECK(policy.drops[1].ports == PortRange{25, 25});
  CHECK(policy.drops[1].namespaces == NamespaceRange{7, 7});
  CHECK(policy.drops[2].protocol == 1);
  CHECK(policy.drops[2].ports == PortRange{1, 65'535});
  CHECK(policy.drops[2].namespaces == NamespaceRange{1000, 1999});

  REQUIRE(policy.redirects.size() == 2);
  CHECK(policy.redirects[0].protocol == 17);
  CHECK(to_text(policy.redirects[0].from) == "10.0.0.243:53");
  CHECK(to_text(policy.redirects[0].to) == "10.7.0.0:5353");
  CHECK(policy.redirects[0].namespaces == NamespaceRange{});
  CHECK(policy.redirects[1].protocol == 6);
  CHECK(to_text(policy.redirects[1].from) == "[2001:db8::53]:53");
  CHECK(to_text(policy.redirects[1].to) == "[fd07::1]:5353");
  CHECK(policy.redirects[1].namespaces == NamespaceRange{1234, 1234});

  REQUIRE(policy.forwards.size() == 2);
  CHECK(policy.forwards[0].protocol == 6);
  CHECK(to_text(policy.forwards[0].external) == "203.0.113.1:40080");
  CHECK(policy.forwards[0].namespace_id == 7);
  CHECK(to_text(policy.forwards[0].to) == "10.9.0.2:80");
  CHECK(policy.forwards[0].session_limit == 0);
  CHECK(policy.forwards[1].protocol == 17);
  CHECK(to_text(policy.forwards[1].external) == "[2001:db8:1::1]:1");
  CHECK(policy.forwards[1].namespace_id == 1000);
  CHECK(to_text(policy.forwards[1].to) == "[fd42::2]:65535");
  CHECK(policy.forwards[1].session_limit == 7);
}

TEST_CASE("namespaces have names") {
  const Config config = load(full);
  CHECK(namespace_name(config, 1) == "blue");
  CHECK(namespace_name(config, 1000) == "vpn-1000");
  CHECK(namespace_name(config, 1999) == "vpn-1999");
  CHECK(namespace_name(config, 2000).empty());
  CHECK(namespace_name(config, 0).empty());
  CHECK(namespace_name(config, 0xffff'ffff).empty());
}

}  // namespace

TEST_CASE("external ports may be several ranges, in any order") {
  const Config config = load(R"(
[external]
interface = "wan0"
addresses = ["203.0.113.1"]
ports     = ["40000-65535", "20000-29999", "30000-30001"]
[[namespace]]
name   = "blue"
fwmark = 1
)");
  CHECK(config.policy.ports == PortRanges({{20'000, 30'001}, {40'000, 65'535}}));
  CHECK(make_policy(config).ports == config.policy.ports);
}

TEST_CASE("a member of a range may have a namespace of its own") {
  const Config config = load(R"(
[external]
interface = "wan0"
addresses = ["203.0.113.1"]
[[namespace]]
name   = "vpn"
fwmark = "1000-1005"
subnets = ["10.8.0.0/16"]
[[namespace]]
name   = "gold"
fwmark = 1002
session_limit = 9
subnets = ["10.9.0.0/16"]
[[namespace]]
name   = "vpn-1005"
fwmark = 1005
[[drop]]
protocol  = "tcp"
port      = 25
namespace = "vpn"
[[drop]]
protocol  = "tcp"
port      = 26
namespace = "vpn-1004"
)");
  const Policy policy = make_policy(config);
  std::vector<std::array<std::uint32_t, 3>> pieces;
  for (const NamespacePolicy& one : policy.namespaces) {
    pieces.push_back({one.first, one.last, one.session_limit});
  }
  const std::vector<std::array<std::uint32_t, 3>> expected{
      {1000, 1001, 200}, {1002, 1002, 9}, {1003, 1004, 200}, {1005, 1005, 200}};
  CHECK(pieces == expected);
  CHECK(policy.namespaces[0].inside.size() == 1);
  CHECK(namespace_name(config, 1001) == "vpn-1001");
  CHECK(namespace_name(config, 1002) == "gold");
  CHECK(namespace_name(config, 1005) == "vpn-1005");
  CHECK(namespace_name(config, 1006).empty());
  REQUIRE(policy.drops.size() == 3);
  CHECK(policy.drops[0].namespaces == NamespaceRange{1000, 1001});
  CHECK(policy.drops[1].namespaces == NamespaceRange{1003, 1004});
  CHECK(policy.drops[2].namespaces == NamespaceRange{1004, 1004});
}

}  // namespace swnat::rules
