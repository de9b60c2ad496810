// What a packet meets does not grow with the namespaces: no rules of nft, and few of routing.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "rules/config/networks.h"
#include "rules/iptables/text.h"
#include "rules/kernel/plan.h"
#include "rules/nft/text.h"
#include "rules/routes/policy_route.h"
#include "rules/wanted/bit_tree.h"

namespace swnat::rules {
namespace {

Config with_tenants(std::uint32_t count) {
  Config config;
  config.external_interface = "wan0";
  config.external_addresses = {Ipv4Address::of(203, 0, 113, 1)};
  for (std::uint32_t i = 1; i <= count; ++i) {
    NamespaceConfig one;
    one.name = "t" + std::to_string(i);
    one.policy.first = one.policy.last = i * 3;  // with gaps, so that no range holds them all
    one.interfaces = {"t" + std::to_string(i)};
    one.subnets = {Network<Ipv4Address>{Ipv4Address::from_host(0x0a00'0000 + i * 512), 24}};
    one.policy.untranslated = {parse_network("192.168.0.0/16").value()};
    config.namespaces.push_back(std::move(one));
  }
  return config;
}

// Rules of all chains but those that set a fwmark, of which a packet meets one for each octet.
std::size_t rules_in(const std::string& text) {
  std::istringstream lines(text);
  std::size_t count = 0;
  bool sets_fwmark = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("\tchain ")) sets_fwmark = line.starts_with("\tchain fwmark_");
    if (line.starts_with("\t\t") && !line.starts_with("\t\t#") && !sets_fwmark) ++count;
  }
  return count;
}

TEST_CASE("nft has as many rules for two tenants as for thousands, but for a fwmark's octets") {
  for (const Format format : {Format::nft, Format::iptables}) {
    const std::size_t few = rules_in(nft_text(with_tenants(2), format));
    const std::size_t many = rules_in(nft_text(with_tenants(3000), format));
    // A second octet of the fwmark, by interface, by zone and from where tenants go untranslated.
    CHECK(many <= few + 4);
  }
}

TEST_CASE("iptables' lists of namespaces are short") {
  for (const IptablesTable& table : iptables_tables(with_tenants(3000))) {
    for (const IptablesChain& chain : table.chains) {
      CAPTURE(chain.name);
      CHECK(chain.rules.size() <= bit_list_max + 1);
    }
  }
}

// One rule as the kernel reads it: what a packet must be, and what happens to it then.
struct ReadRule {
  std::uint32_t fwmark = 0;
  std::uint32_t mask = 0;
  bool of_local_packets = false;
  bool of_a_network = false;
  bool does_nothing = false;
  std::uint32_t jumps_to = 0;  // 0: ends here
  std::string what;
};

ReadRule read(const std::string& what) {
  ReadRule rule{.what = what};
  std::istringstream words(what);
  std::string word;
  words >> word;
  if (word == "fwmark") {
    std::string value;
    words >> value >> word;
    rule.fwmark = static_cast<std::uint32_t>(std::stoul(value, nullptr, 0));
    rule.mask =
        static_cast<std::uint32_t>(std::stoul(value.substr(value.find('/') + 1), nullptr, 0));
  } else if (word == "iif") {
    words >> word >> word;
    rule.of_local_packets = true;
  } else if (word == "from") {
    rule.of_a_network = true;
  }
  if (word == "goto") words >> rule.jumps_to;
  rule.does_nothing = word == "nop";
  return rule;
}

// The rules of one family by their priorities.
using RuleLists = std::map<std::uint32_t, std::vector<ReadRule>>;
RuleLists lists_of(const std::vector<IpRule>& rules) {
  RuleLists lists;
  for (const IpRule& rule : rules) lists[rule.priority].push_back(read(rule.what));
  return lists;
}

struct Walk {
  std::string found;
  std::size_t met = 0;
};
// As the kernel walks.
Walk walk(const RuleLists& lists, std::uint32_t fwmark, bool is_local) {
  Walk result;
  std::uint32_t next = 0;
  for (auto list = lists.begin(); list != lists.end();) {
    next = 0;
    for (const ReadRule& rule : list->second) {
      ++result.met;
      if ((fwmark & rule.mask) != rule.fwmark) continue;
      if ((rule.of_local_packets && !is_local) || rule.of_a_network) continue;
      if (rule.jumps_to != 0) {
        next = rule.jumps_to;
        break;
      }
      if (rule.does_nothing) continue;
      result.found = rule.what;
      return result;
    }
    list = next == 0 ? std::next(list) : lists.find(next);
    if (next != 0 && list == lists.end()) result.found = "a jump to nowhere";
  }
  return result;
}

TEST_CASE("each of thousands of fwmarks finds its table, and all others none, in a short walk") {
  const Config config = with_tenants(3000);
  const RuleLists rules = lists_of(policy_routing(config, {}).rules);
  for (std::uint32_t fwmark = 1; fwmark <= 9100; ++fwmark) {
    const bool is_known = fwmark % 3 == 0 && fwmark <= 9000;
    const Walk result = walk(rules, fwmark, false);
    CAPTURE(fwmark);
    CHECK(result.met <= 4 * (bit_list_max + 2) + 4);
    if (is_known) {
      CHECK(result.found.ends_with(" lookup " + std::to_string(0x5300'0000 + fwmark)));
    } else {
      CHECK(result.found.empty());
    }
  }
  CHECK(walk(rules, 0, true).met <= 6);
}

// Where each route of IPv6 is.
std::map<std::string, std::uint32_t> tables_of(const Config& config) {
  std::map<std::string, std::uint32_t> tables;
  for (const FwmarkRoute& route : policy_routing(config, {}).routes) {
    if (route.family == Family::ipv6 && !route.interface.empty()) {
      tables[route.interface + " " + route.to] = route.table;
    }
  }
  return tables;
}

TEST_CASE("namespaces share a table of IPv6 as far as their networks lie apart") {
  Config config = with_tenants(7);
  const char* networks[] = {"fd01::/64", "fd02::/64", "fd03::/48", "fd03:0:0:7::/64",
                            "fd04::/64", "fd04::/64", "fd05::/64"};
  for (std::size_t i = 0; i < 7; ++i) {
    config.namespaces[i].subnets.push_back(parse_network(networks[i]).value());
  }
  // Two networks of one namespace would need two rules.
  config.namespaces[6].subnets.push_back(parse_network("fd06::/64").value());
  const std::uint32_t shared = 0x5300'0000;
  CHECK(tables_of(config) ==
        std::map<std::string, std::uint32_t>{{"t1 fd01::/64", shared},
                                             {"t2 fd02::/64", shared},
                                             {"t3 fd03::/48", shared + 9},
                                             {"t4 fd03:0:0:7::/64", shared + 12},
                                             {"t5 fd04::/64", shared + 15},
                                             {"t6 fd04::/64", shared + 18},
                                             {"t7 fd05::/64", shared + 21},
                                             {"t7 fd06::/64", shared + 21}});
  std::map<std::string, int> found;
  for (const IpRule& rule : policy_routing(config, {}).rules) {
    if (rule.family == Family::ipv6 && rule.what.find(" lookup ") != std::string::npos) {
      ++found[rule.what];
    }
  }
  CHECK(found.size() == 7);
  CHECK(found.contains("fwmark 0x3/0xffff to fd01::/64 lookup 1392508928"));
  CHECK(found.contains("fwmark 0x9/0xffff lookup 1392508937"));
}

TEST_CASE("one priority never has a fwmark of zeros beside others") {
  std::map<std::uint32_t, std::size_t> all;
  std::map<std::uint32_t, std::size_t> zeros;
  for (const IpRule& rule : policy_routing(with_tenants(3000), {}).rules) {
    ++all[rule.priority];
    if (rule.what.starts_with("fwmark 0x0/")) ++zeros[rule.priority];
  }
  for (const auto& [priority, count] : zeros) CHECK(all.at(priority) == 1);
  CHECK(!zeros.empty());
}

TEST_CASE("networks side by side are joined") {
  Config config = with_tenants(0);
  NamespaceConfig one;
  one.subnets = {parse_network("10.0.1.0/24").value(), parse_network("10.0.0.0/24").value(),
                 parse_network("10.0.0.0/25").value(), parse_network("10.0.3.0/24").value()};
  config.namespaces = {one};
  std::vector<std::string> joined;
  for (const IpNetwork& each :
       tenant_networks(config, {{{"red0"}, {parse_network("10.0.2.0/24").value()}}})) {
    joined.push_back(to_text(each));
  }
  CHECK(joined == std::vector<std::string>{"10.0.0.0/22"});
}

}  // namespace
}  // namespace swnat::rules
