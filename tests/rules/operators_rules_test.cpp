// What is missing for namespaces without interfaces is told, and nothing that may be there.
#include "rules/found/operators_rules.h"

#include <doctest/doctest.h>

#include "rules/config/networks.h"

namespace swnat::rules {
namespace {

Config with_range() {
  Config config;
  config.fwmark_mask = 0xffff;
  NamespaceConfig vpn;
  vpn.name = "vpn";
  vpn.policy.first = 1000;
  vpn.policy.last = 1999;
  config.namespaces = {vpn};
  return config;
}

const std::string unmarked =
    "no rule of nft or iptables sets a fwmark of namespace vpn (fwmarks 1000-1999): unless another"
    " program does, no packet is its";
const std::string unrouted =
    "no `ip rule` looks at a fwmark of namespace vpn (fwmarks 1000-1999): what comes back to it is"
    " routed as if it had none";
const std::string mixed =
    "no chain of nft with a priority below -400 sets notrack or a conntrack zone: fragments of"
    " namespaces without interfaces may be mixed up with others'";

using Lines = std::vector<std::string>;

std::string nft(const std::string& table, int priority, const std::string& statements) {
  return R"({"nftables": [{"chain": {"family": "inet", "table": ")" + table +
         R"(", "name": "c", "hook": "prerouting", "prio": )" + std::to_string(priority) +
         R"(}}, {"rule": {"family": "inet", "table": ")" + table + R"(", "chain": "c", "expr": [)" +
         statements + "]}}]}";
}
std::string set_mark(const std::string& value) {
  return R"({"mangle": {"key": {"meta": {"key": "mark"}}, "value": )" + value + "}}";
}
PrintedRules all_right() {
  return {nft("operator", -450, set_mark("1000") + R"(, {"notrack": null})"),
          {},
          {R"([{"priority": 900, "fwmark": "0x3e8", "table": "1000"}])", "[]"}};
}

}  // namespace

TEST_CASE("without any rule all is missing, and with all of them nothing") {
  CHECK_EQ(missing_operators_rules(with_range(), {}), Lines{unmarked, unrouted, mixed});
  CHECK_EQ(missing_operators_rules(with_range(), all_right()), Lines{});
}

TEST_CASE("who has interfaces needs no rules of the operator's") {
  Config config = with_range();
  config.namespaces[0].interfaces = {"blue0"};
  CHECK_EQ(missing_operators_rules(config, {}), Lines{});
}

TEST_CASE("a fwmark may be set by what cannot be known, but not by another number or by us") {
  const auto marked = [](const std::string& rules) {
    PrintedRules printed = all_right();
    printed.nft = rules;
    const Lines lines = missing_operators_rules(with_range(), printed);
    return lines.empty();
  };
  const std::string notrack = R"(, {"notrack": null})";
  CHECK(marked(nft("operator", -450, set_mark(R"({"map": {"key": 1, "data": "@m"}})") + notrack)));
  CHECK(marked(nft("operator", -450, set_mark("1999") + notrack)));
  CHECK(marked(nft("operator", -450, set_mark("66536") + notrack)));  // 1000 under the mask
  CHECK_FALSE(marked(nft("operator", -450, set_mark("2000") + notrack)));
  CHECK_FALSE(marked(nft("swnat", -450, set_mark("1000") + notrack)));
  CHECK_FALSE(marked(nft("operator", -300, set_mark("1000") + notrack)));  // too late
}

TEST_CASE("iptables may set it as well") {
  const auto is_unmarked = [](const std::string& saved) {
    PrintedRules printed;
    printed.iptables[1] = saved;
    return missing_operators_rules(with_range(), printed).front() == unmarked;
  };
  CHECK_FALSE(is_unmarked("*raw\n-A PREROUTING -i a -j MARK --set-xmark 0x3e8/0xffff\n"));
  CHECK_FALSE(is_unmarked("-A PREROUTING -j MARK --set-xmark 0x8/0x8\n"));
  CHECK_FALSE(is_unmarked("-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff\n"));
  // What TPROXY sets can be seen, what an ipset or a hash gives cannot.
  CHECK_FALSE(
      is_unmarked("-A PREROUTING -p tcp -j TPROXY --on-port 3129 --on-ip 0.0.0.0"
                  " --tproxy-mark 0x3e8/0xffffffff\n"));
  CHECK_FALSE(is_unmarked("-A PREROUTING -j SET --map-set tenants src --map-mark\n"));
  CHECK_FALSE(is_unmarked("-A PREROUTING -j HMARK --hmark-tuple src --hmark-mod 1000\n"));
  CHECK(
      is_unmarked("-A PREROUTING -p tcp -j TPROXY --on-port 3129 --on-ip 0.0.0.0"
                  " --tproxy-mark 0x1/0xffffffff\n"));
  CHECK(is_unmarked("-A PREROUTING -j SET --map-set tenants src --map-prio\n"));
  CHECK(is_unmarked("-A PREROUTING -j MARK --set-xmark 0x7/0xffffffff\n"));
  CHECK(is_unmarked("-A PREROUTING -j MARK --set-xmark 0x8000/0x8000\n"));
}

TEST_CASE("each family that the subnets have needs a way back") {
  Config config = with_range();
  config.namespaces[0].subnets = {parse_network("10.0.0.0/24").value(),
                                  parse_network("fd00::/64").value()};
  PrintedRules printed = all_right();
  CHECK_EQ(
      missing_operators_rules(config, printed),
      Lines{"no `ip -6 rule` looks at a fwmark of namespace vpn (fwmarks 1000-1999): what comes"
            " back to it is routed as if it had none"});
  printed.routing[1] = R"([{"fwmark": "0x400", "fwmask": "0xfc00", "table": "7"}])";
  CHECK_EQ(missing_operators_rules(config, printed), Lines{});
  printed.routing[1] = R"([{"fwmark": "0x3e8", "table": "7", "protocol": "83"}])";
  CHECK_EQ(missing_operators_rules(config, printed).size(), 1u);
}

TEST_CASE("of thousands of namespaces the one that nothing marks is told") {
  constexpr std::uint32_t count = 20'000;
  constexpr std::uint32_t unmarked_one = 12'345;
  Config config = with_range();
  config.namespaces.clear();
  std::string marks;
  std::string routing;
  for (std::uint32_t fwmark = 1; fwmark <= count; ++fwmark) {
    NamespaceConfig one;
    one.name = "t" + std::to_string(fwmark);
    one.policy.first = one.policy.last = fwmark;
    config.namespaces.push_back(std::move(one));
    if (fwmark != unmarked_one) marks += set_mark(std::to_string(fwmark)) + ", ";
    routing +=
        (fwmark == 1 ? R"({"fwmark": ")" : R"(, {"fwmark": ")") + std::to_string(fwmark) + R"("})";
  }
  const PrintedRules printed{
      nft("operator", -450, marks + R"({"notrack": null})"), {}, {"[" + routing + "]", "[]"}};
  CHECK_EQ(missing_operators_rules(config, printed),
           Lines{"no rule of nft or iptables sets a fwmark of namespace t12345 (fwmark 12345):"
                 " unless another program does, no packet is its"});
}

TEST_CASE("of thousands of namespaces that lack the same only some are named") {
  Config config = with_range();
  config.namespaces.clear();
  for (std::uint32_t fwmark = 1; fwmark <= 2'000; ++fwmark) {
    NamespaceConfig one;
    one.name = "t" + std::to_string(fwmark);
    one.policy.first = one.policy.last = fwmark;
    config.namespaces.push_back(std::move(one));
  }
  const Lines lines = missing_operators_rules(config, {});
  REQUIRE_EQ(lines.size(), 9);
  CHECK_EQ(lines[3], "1997 other namespaces have fwmarks that no such rule sets");
  CHECK_EQ(lines[7], "1997 other ways back of namespaces are looked at by no `ip rule`");
  CHECK_EQ(lines[8], mixed);
}

}  // namespace swnat::rules
