// A record survives being written and read.
#include <doctest/doctest.h>

#include "rules/record_json.h"

namespace swnat::rules {
namespace {

const RecordOrigin here{"boot", 0xffff'ffff'ffff'ffff};

Record example() {
  Record record;
  record.layout.emplace();
  record.layout->nft = "table inet swnat {\n\t# \"quotes\"\n}\n";
  record.layout->iptables = {
      {Family::ipv4, "raw", "PREROUTING", {{"SWNAT-IN", {"-i blue0 -j DROP", "-j RETURN"}}}},
      {Family::ipv6, "raw", "PREROUTING", {}}};
  record.layout->routing.rules = {{Family::ipv4, 1, 0xffff, 0x5300'0001},
                                  {Family::ipv6, 1, 0xffff, 0x5300'0001}};
  record.layout->routing.routes = {{Family::ipv4, 0x5300'0001, "10.0.0.0/24", "", "blue0"},
                                   {Family::ipv6, 0x5300'0001, "fd09::/48", "fd00::254", "blue0"}};
  record.sysctls.changes["net/ipv4/ip_forward"] = {"0", {"1"}};
  record.sysctls.changes["net/ipv4/ip_local_reserved_ports"] = {"", {"1-2", "3"}};
  record.sysctls.forwarding["net/ipv4/conf/lo/forwarding"] = "0";
  record.made_chains = {"ip raw PREROUTING"};
  record.made_folders = {"/run/swnat"};
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
  CHECK(record->sysctls.changes.at("net/ipv4/ip_local_reserved_ports").written.size() == 2);
}

TEST_CASE("a record without a layout stays so") {
  const auto record = record_from_json(to_json(Record{}, here), here);
  REQUIRE(record);
  CHECK_FALSE(record->layout);
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
  older.replace(older.find("\"version\": 2"), 12, "\"version\": 1");
  CHECK_THROWS_WITH_AS(record_from_json(older, here), "another version of swnat wrote it",
                       RecordDamage);
}

}  // namespace
}  // namespace swnat::rules
