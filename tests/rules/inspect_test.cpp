// What the kernel lists is compared with what `up` left there.
#include "rules/kernel/inspect.h"

#include <doctest/doctest.h>

#include "rules/found/queue_rules.h"
#include "rules/found/remains.h"

namespace swnat::rules {
namespace {

constexpr const char* printed = R"(table inet before {
	chain early {
		drop
	}
}
table inet swnat {
	counter guard {
		comment "what would leave untranslated"
	}

	set tenant_protocols {
		typeof ip daddr . meta l4proto
		size 65535
		flags dynamic,timeout
		timeout 10m
	}

	map fwmarks {
		type ifname : mark
	}

	chain guard {
		type filter hook postrouting priority 300; policy accept;
		meta mark 0x00000005 jump {
			drop
		}
		counter name "guard" drop
	}
}
table inet behind {
	chain late {
		drop
	}
}
)";

TEST_CASE("our table's parts are known by name, without what packets change") {
  const Listing parts = nft_listing(printed);
  REQUIRE(parts.size() == 4);
  CHECK(parts.at("counter guard of nft table inet swnat") ==
        "comment \"what would leave untranslated\"\n");
  CHECK(parts.at("map fwmarks of nft table inet swnat") == "type ifname : mark\n");
  CHECK(parts.at("chain guard of nft table inet swnat") ==
        "type filter hook postrouting priority 300; policy accept;\nmeta mark 0x00000005 jump {\n"
        "drop\n}\ncounter name \"guard\" drop\n");
  CHECK(nft_listing("").empty());
}

TEST_CASE("of iptables only our chains count, and the jumps to them") {
  const Listing parts = iptables_listing(
      "# Generated\n*raw\n:PREROUTING ACCEPT [12:34]\n:SWNAT-IN - [0:0]\n:OTHER - [0:0]\n"
      "-A PREROUTING -p udp -j ACCEPT\n-A PREROUTING -m mark --mark 0x1 -j SWNAT-IN\n"
      "-A SWNAT-IN -i blue0 -j DROP\n-A SWNAT-IN -j NFQUEUE --queue-num 1\n-A OTHER -j DROP\n"
      "COMMIT\n*mangle\n:SWNAT-OUT - [0:0]\nCOMMIT\n",
      Family::ipv6);
  CHECK(
      parts ==
      Listing{{"chain SWNAT-IN of ip6tables raw", " -i blue0 -j DROP\n -j NFQUEUE --queue-num 1\n"},
              {"jump from PREROUTING of ip6tables raw", " -m mark --mark 0x1 -j SWNAT-IN\n"},
              {"chain SWNAT-OUT of ip6tables mangle", ""}});
}

TEST_CASE("what is gone, changed or added is named") {
  const Listing recorded = {{"chain a", "1"}, {"chain b", "2"}, {"chain c", "3"}};
  CHECK(differences(recorded, recorded).empty());
  CHECK(differences(recorded, {{"chain a", "1"}, {"chain b", "x"}, {"chain d", "4"}}) ==
        std::vector<std::string>{"chain b was changed", "chain c is gone", "chain d was added"});
}

TEST_CASE("routes and ip rules are compared in any order, as far as interfaces are up") {
  PolicyRouting wanted;
  wanted.routes = {{Family::ipv4, 0x5300'0001, "10.0.0.0/24", "", "blue0"},
                   {Family::ipv4, 0x5300'0002, "10.0.0.0/24", "", "green0"}};
  PolicyRouting present;
  present.routes = {wanted.routes[1], wanted.routes[0]};
  Differences found;
  add_differences(wanted, present, found);
  CHECK_FALSE(found.any());

  present.routes.erase(present.routes.begin());
  add_differences(wanted, present, found);
  REQUIRE(found.routes.size() == 1);
  CHECK(found.routes[0] == "ip -4 route 10.0.0.0/24 dev green0 table 1392508930 proto 83 is gone");

  Interfaces interfaces;
  interfaces.is_up = {{"blue0", true}, {"green0", false}};
  add_differences(possible(wanted, interfaces), present, found);
  CHECK_FALSE(found.any());
  add_differences(possible(wanted, Interfaces{}), present, found);
  REQUIRE(found.routes.size() == 1);
  CHECK(found.routes[0] == "ip -4 route 10.0.0.0/24 dev blue0 table 1392508929 proto 83 was added");
}

TEST_CASE("interfaces that are waited for and addresses that are nowhere are noted") {
  Config config;
  config.external_interface = "wan0";
  config.external_addresses = {parse_address("203.0.113.1").value(),
                               parse_address("2001:db8:1::1").value()};
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    NamespaceConfig one;
    one.name = name;
    one.interfaces = {std::string(name) + "0"};
    config.namespaces.push_back(one);
  }
  Interfaces interfaces;
  interfaces.is_up = {{"wan0", true}, {"a0", true}, {"b0", false}};
  CHECK(interface_notes(config, interfaces, {"2001:db8:1::1"}) ==
        std::vector<std::string>{"namespace b waits for interface b0, which is down",
                                 "namespace c waits for interface c0",
                                 "namespace d waits for interface d0",
                                 "2 other interfaces are waited for",
                                 "external address 203.0.113.1 is on no interface here"});
}

TEST_CASE("ports that are reserved besides ours are no difference") {
  CHECK(merge_ports("80,1000-2000", "1500-2500") == "80,1000-2500");
  CHECK(merge_ports("", "") == "");
  CHECK(sysctl_differences({{"net/ipv4/conf/no-such-interface/rp_filter", "2"}}).empty());
}

TEST_CASE("queues that nft rules name: a number, a range, a map") {
  const auto rules = nft_queue_rules(R"({"nftables": [{"metainfo": {}},
    {"chain": {"family": "inet", "table": "mine", "name": "in"}},
    {"rule": {"family": "inet", "table": "mine", "chain": "in", "expr": [
      {"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 5}},
      {"queue": {"num": {"range": [0, 3]}, "flags": ["bypass", "fanout"]}}]}},
    {"rule": {"family": "ip", "table": "other", "chain": "in", "expr": [{"queue": {"num": 7}}]}},
    {"rule": {"family": "inet", "table": "swnat", "chain": "outgoing", "expr": [
      {"queue": {"num": {"map": {"key": {}, "data": {"set": [[0, 0], [2, 1]]}}}}}]}},
    {"rule": {"family": "ip", "table": "raw", "chain": "PREROUTING", "expr": [{"queue": {"num": 9}}]}},
    {"rule": {"family": "inet", "table": "mine", "chain": "in", "expr": [
      {"match": {"op": "==", "left": {}, "right": 5}}, "jump {\n}"]}}]})");
  CHECK(rules == std::vector<QueueRule>{{"chain in of nft table inet mine", {0, 1, 2, 3}, false},
                                        {"chain in of nft table ip other", {7}, false},
                                        {"chain outgoing of nft table inet swnat", {0, 1}, true}});
  CHECK(nft_queue_rules("").empty());
  CHECK(nft_queue_rules("{\"nftables\": [7, {\"rule\": {}}]}").empty());
}

TEST_CASE("queues that rules of iptables name") {
  const auto rules = iptables_queue_rules(
      "*raw\n:SWNAT-IN - [0:0]\n-A PREROUTING -p udp -j NFQUEUE --queue-num 3\n"
      "-A PREROUTING -j NFQUEUE --queue-balance 0:2 --queue-bypass\n-A PREROUTING -j ACCEPT\n"
      "-A SWNAT-IN -j NFQUEUE --queue-num 1\nCOMMIT\n",
      Family::ipv4);
  CHECK(rules == std::vector<QueueRule>{{"chain PREROUTING of iptables raw", {3}, false},
                                        {"chain PREROUTING of iptables raw", {0, 1, 2}, false},
                                        {"chain SWNAT-IN of iptables raw", {1}, true}});
}

TEST_CASE("rules of others that queue to this configuration's queues, each place once") {
  Config config;
  config.first_queue = 2;
  config.workers = 2;
  const std::vector<QueueRule> rules = {{"chain a", {2}, false},    {"chain b", {0, 1}, false},
                                        {"chain a", {2, 3}, false}, {"chain ours", {2}, true},
                                        {"chain c", {3, 4}, false}, {"chain d", {3}, false}};
  CHECK(others_that_queue(rules, config) == std::vector<std::string>{"chain a (queues 2, 3)",
                                                                     "chain c (queues 3, 4)",
                                                                     "chain d (queue 3)"});
  CHECK(others_that_queue({}, config).empty());
}

}  // namespace
}  // namespace swnat::rules
