// Parts of the plan that have a logic of their own.
#include "rules/kernel/plan.h"

#include <doctest/doctest.h>

#include "rules/config/networks.h"
#include "rules/nft/text.h"
#include "rules/system/sysctl.h"
#include "rules/wanted/tenant.h"

namespace swnat::rules {
namespace {

IpNetwork network(std::string_view text) {
  return parse_network(text).value();
}

TEST_CASE("reserved ports are merged as the kernel lists them") {
  struct Case {
    const char* list;
    PortRange range;
    const char* merged;
  };
  for (const Case& each :
       {Case{"", {32'768, 65'535}, "32768-65535"}, Case{"80", {100, 200}, "80,100-200"},
        Case{"80,443,8000-9000", {9001, 9002}, "80,443,8000-9002"},
        Case{"150", {100, 200}, "100-200"}, Case{"50-300", {100, 200}, "50-300"},
        Case{"99,201", {100, 200}, "99-201"}, Case{"300", {7, 7}, "7,300"},
        Case{"65535", {1, 1}, "1,65535"}}) {
    CAPTURE(std::string(each.list));
    CHECK(merge_ports(each.list, {each.range}) == each.merged);
  }
}

TEST_CASE("the gateway keeps ports of its own") {
  const auto local = [](PortRanges ports) {
    Config config;
    config.external_interface = "wan0";
    config.policy.ports = ports;
    return make_plan(config, Format::nft).sysctls.local_ports;
  };
  CHECK(local({32'768, 65'535}) == PortRange{16'384, 32'767});
  CHECK(local({1024, 32'767}) == PortRange{32'768, 49'151});
  CHECK(local({4000, 65'000}) == PortRange{1024, 3999});
  CHECK_FALSE(local({2000, 65'000}));
  CHECK_FALSE(local({1, 65'535}));
  CHECK(local(PortRanges({{20'000, 29'999}, {50'000, 65'535}})) == PortRange{30'000, 46'383});
  CHECK(local(PortRanges({{20'000, 29'999}, {40'000, 65'535}})) == PortRange{3616, 19'999});
}

TEST_CASE("what a tenant may send from holds nothing twice") {
  Config config;
  NamespaceConfig blue;
  blue.interfaces = {"blue0"};
  blue.subnets = {network("10.0.0.0/16"), network("192.168.0.0/24")};
  blue.routes = {{network("10.0.9.0/24"), Ipv4Address::of(10, 0, 0, 1)},
                 {network("172.16.0.0/12"), Ipv4Address::of(10, 0, 0, 1)}};
  config.namespaces = {blue};
  std::vector<std::string> sources;
  const std::vector<Tenant> all = tenants(config);
  for (const IpNetwork& subnet : all.at(0).sources) sources.push_back(to_text(subnet));
  CHECK(sources == std::vector<std::string>{"10.0.0.0/16", "172.16.0.0/12", "192.168.0.0/24"});
}

TEST_CASE("a record under way knows both values that may be there") {
  SysctlRecord before;
  before.changes["a"] = {"0", {"1"}};
  before.changes["b"] = {"0", {"1"}};
  SysctlRecord after;
  after.changes["b"] = {"0", {"2"}};
  after.changes["c"] = {"0", {"2"}};
  const SysctlRecord both = during(before, after);
  CHECK(both.changes.at("a").written == std::vector<std::string>{"1"});
  CHECK(both.changes.at("b").written == std::vector<std::string>{"2", "1"});
  CHECK(both.changes.at("c").written == std::vector<std::string>{"2"});
}

Config small() {
  Config config;
  config.external_interface = "wan0";
  config.external_addresses = {Ipv4Address::of(203, 0, 113, 1)};
  NamespaceConfig vpn;
  vpn.name = "vpn";
  vpn.policy.first = 1000;
  vpn.policy.last = 1999;
  config.namespaces = {vpn};
  return config;
}

TEST_CASE("one worker needs no map, and sixty-four have one entry each") {
  Config config = small();
  CHECK(nft_text(config, Format::nft).find("map") == std::string::npos);
  config.workers = 64;
  config.first_queue = 100;
  const std::string text = nft_text(config, Format::nft);
  CHECK(text.find("queue to th dport & 126 map { 0 : 100, 2 : 101,") != std::string::npos);
  CHECK(text.find("126 : 163 }") != std::string::npos);
}

TEST_CASE("without tenants' interfaces there are no empty sets") {
  const std::string text = nft_text(small(), Format::nft);
  CHECK(text.find("{  }") == std::string::npos);
  CHECK(text.find("\"\"") == std::string::npos);
  CHECK(make_plan(small(), Format::nft).layout.routing.rules.empty());
}

TEST_CASE("a fwmark of all bits is set without keeping any") {
  Config config = small();
  config.fwmark_mask = 0xffff'ffff;
  config.namespaces[0].policy.last = 1000;
  config.namespaces[0].interfaces = {"blue0"};
  config.namespaces[0].subnets = {network("10.0.0.0/24")};
  const std::string text = nft_text(config, Format::nft);
  CHECK(text.find("meta mark set meta mark & 0x0\n") != std::string::npos);
  CHECK(text.find("meta mark set meta mark | 0x300\n") != std::string::npos);
  CHECK(text.find("meta mark set meta mark | 0xe8\n") != std::string::npos);
}

}  // namespace
}  // namespace swnat::rules
