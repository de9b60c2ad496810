// A record survives being written and read.
#include <doctest/doctest.h>

#include "rules/config/networks.h"
#include "rules/kernel/record_json.h"

namespace swnat::rules {
namespace {

const RecordOrigin here{"boot", 0xffff'ffff'ffff'ffff};

Record example() {
  Record record;
  record.layout.emplace();
  record.layout->nft = "table inet swnat {\n\t# \"quotes\"\n}\n";
  record.layout->iptables = {
      {Family::ipv4, "raw", {{"SWNAT-IN", {"-i blue0 -j DROP", "-j RETURN"}}}},
      {Family::ipv6, "raw", {}}};
  record.layout->routing.rules = {{Family::ipv4, 5301, "fwmark 0x1/0xffff lookup 1392508929"},
                                  {Family::ipv6, 5308, "nop"}};
  record.tenants = {{{"blue0"}, {parse_network("10.0.0.0/24").value()}}};
  record.removed = {{{"red0", "red1"}, {parse_network("fd00::/64").value()}}};
  record.layout->routing.routes = {{Family::ipv4, 0x5300'0001, "10.0.0.0/24", "", "blue0"},
                                   {Family::ipv6, 0x5300'0001, "fd09::/48", "fd00::254", "blue0"}};
  record.sysctls.changes["net/ipv4/ip_forward"] = {"0", {"1"}};
  record.sysctls.changes["net/ipv4/ip_local_reserved_ports"] = {"", {"1-2", "3"}};
  record.sysctls.forwarding["net/ipv4/conf/lo/forwarding"] = "0";
  record.made_chains = {"ip raw PREROUTING"};
  record.made_folders = {"/run/swnat"};
  record.stock = {{{{"chain guard of nft table inet swnat", "drop\n"}},
                   {{"chain SWNAT-IN of iptables raw", " -j DROP\n"}}},
                  {{"net/ipv4/ip_forward", "1"}},
                  "0123456789abcdef",
                  4,
                  2};
  return record;
}

TEST_CASE("a record is read as it was written") {
  const std::string text = to_json(example(), here);
  const auto record = record_from_json(text, here);
  REQUIRE(record);
  CHECK(to_json(*record, here) == text);
  REQUIRE(record->layout);
  CHECK(record->layout->nft == example().layout->nft);
  CHECK(record->layout->iptables == example().layout->iptables);
  CHECK(record->layout->routing.rules == example().layout->routing.rules);
  CHECK(record->layout->routing.routes == example().layout->routing.routes);
  CHECK(record->tenants == example().tenants);
  CHECK(record->removed == example().removed);
  REQUIRE(record->stock);
  CHECK(record->stock->rules == example().stock->rules);
  CHECK(record->stock->sysctls.size() == 1);
  CHECK(record->stock->configuration == "0123456789abcdef");
  CHECK(record->stock->first_queue == 4);
  CHECK(record->stock->workers == 2);
  CHECK(record->sysctls.changes.at("net/ipv4/ip_local_reserved_ports").written.size() == 2);
}

TEST_CASE("whatever a text has, the record can be read") {
  Record record = example();
  record.stock->rules.nft["a"] = "back\\slash \x01 \xc3\xa4 \xff end\n";
  record.stock->rules.nft["b"] = "";
  const auto read = record_from_json(to_json(record, here), here);
  REQUIRE(read);
  CHECK(read->stock->rules.nft.at("a") == "back\\slash \x01 \xc3\xa4 \xef\xbf\xbd end\n");
  CHECK(read->stock->rules.nft.at("b").empty());
}

TEST_CASE("a record without a layout stays so") {
  const auto record = record_from_json(to_json(Record{}, here), here);
  REQUIRE(record);
  CHECK_FALSE(record->layout);
  CHECK_FALSE(record->stock);
}

TEST_CASE("a record of another place does not count") {
  const std::string text = to_json(example(), here);
  CHECK_FALSE(record_from_json(text, {"other boot", here.namespace_cookie}));
  CHECK_FALSE(record_from_json(text, {"boot", 7}));
}

TEST_CASE("what is no record is told from none") {
  const std::string text = to_json(example(), here);
  for (const std::string& damaged :
       {std::string(), std::string("[]"), std::string("{\"version\": 1}"), std::string(100, '\0'),
        text.substr(0, text.size() / 2)}) {
    INFO(damaged);
    CHECK_THROWS_AS(record_from_json(damaged, here), RecordDamage);
  }
  std::string older = text;
  older.replace(older.find("\"version\":4"), 11, "\"version\":1");
  CHECK_THROWS_WITH_AS(record_from_json(older, here), "another version of swnat wrote it",
                       RecordDamage);
}

}  // namespace
}  // namespace swnat::rules
