// Rules that stand in no file are held to what those of the file are held to.
#include "rules/config/lone_rule.h"

#include <doctest/doctest.h>

#include "tests/rules/faulty_file.h"

namespace swnat::rules {
namespace {

constexpr Ipv4Address external = Ipv4Address::of(203, 0, 113, 1);
constexpr Ipv4Address inner = Ipv4Address::of(10, 0, 0, 2);

NamespaceConfig tenant(const char* name, std::uint32_t first, std::uint32_t last) {
  NamespaceConfig one;
  one.name = name;
  one.policy.first = first;
  one.policy.last = last;
  return one;
}

// blue with networks, the range vpn, and a member of it with a name of its own.
Config some_config() {
  Config config;
  config.external_addresses = {external};
  config.namespaces = {tenant("blue", 1, 1), tenant("vpn", 1000, 1099), tenant("boss", 1007, 1007)};
  config.namespaces[0].subnets = {Network<Ipv4Address>{Ipv4Address::of(10, 0, 0, 0), 24}};
  config.namespaces[0].routes = {
      {Network<Ipv4Address>{Ipv4Address::of(10, 9, 0, 0), 16}, Ipv4Address::of(10, 0, 0, 254)}};
  return config;
}

RuleKeys forward_keys(const std::string& name = "blue", const std::string& to = "10.0.0.2:80") {
  return {{"protocol", "tcp"}, {"external", "203.0.113.1:40080"}, {"namespace", name}, {"to", to}};
}

template <class Read>
std::string fault_of(Read read) {
  try {
    read();
  } catch (const RuleFault& fault) {
    return fault.what();
  }
  return "";
}

std::string forward_fault(const RuleKeys& keys) {
  return fault_of([&] { read_lone_forward(keys, some_config()); });
}

std::string drop_fault(const RuleKeys& keys) {
  return fault_of([&] { read_lone_drop(keys, some_config()); });
}

RuleKeys with(RuleKeys keys, const char* key, decltype(RuleKeys::value_type::second) value) {
  std::erase_if(keys, [&](const auto& one) { return one.first == key; });
  keys.emplace_back(key, std::move(value));
  return keys;
}

TEST_CASE("a lone forward: what it means") {
  const auto read = read_lone_forward(with(forward_keys(), "session_limit", 7), some_config());
  CHECK(read.namespace_name == "blue");
  CHECK(read.rule == ForwardRule{.protocol = 6,
                                 .external = {external, 40080},
                                 .namespace_id = 1,
                                 .to = {inner, 80},
                                 .session_limit = 7});
  CHECK(read_lone_forward(forward_keys("blue", "10.9.3.4:80"), some_config()).rule.to.port == 80);
  CHECK(read_lone_forward(forward_keys("vpn-1003"), some_config()).rule.namespace_id == 1003);
  CHECK(read_lone_forward(forward_keys("boss"), some_config()).rule.namespace_id == 1007);
}

TEST_CASE("a lone forward: what is wrong is told as of one in the file") {
  CHECK(
      forward_fault(forward_keys("red")) ==
      "[[forward]] namespace: \"red\" is no [[namespace]] (allowed: the name of one, or of one in "
      "a range, like \"vpn-1000\")");
  CHECK(forward_fault(forward_keys("vpn")).find("is a range of namespaces") != std::string::npos);
  // Its member has a name of its own.
  CHECK(forward_fault(forward_keys("vpn-1007")).find("is no [[namespace]]") != std::string::npos);
  CHECK(forward_fault(forward_keys("blue", "10.0.1.2:80")) ==
        "[[forward]] to: 10.0.1.2 lies in none of namespace \"blue\"'s subnets and routes");
  CHECK(forward_fault(forward_keys("blue", "203.0.113.1:80")).find("is an external address") !=
        std::string::npos);
  CHECK(forward_fault(with(forward_keys(), "external", "203.0.113.9:80")) ==
        "[[forward]] external: 203.0.113.9 is not among [external] addresses");
  CHECK(forward_fault(with(forward_keys(), "protocol", "icmp")) ==
        "[[forward]] protocol: must be one of \"tcp\", \"udp\", not \"icmp\"");
  CHECK(forward_fault(with(forward_keys(), "session_limit", 0)).find("must be from 1 to") !=
        std::string::npos);
  CHECK(forward_fault(with(forward_keys(), "to", true)).find("must be text in quotes") !=
        std::string::npos);
  // All faults, a line each.
  CHECK(forward_fault({{"portocol", "tcp"}, {"namespace", "blue"}}).find('\n') !=
        std::string::npos);
}

TEST_CASE("a lone rule: an unknown key is told with those that are allowed") {
  constexpr std::string_view others[] = {"owner"};
  const std::string fault = fault_of([&] {
    read_lone_drop({{"protocol", "tcp"}, {"ports", 25}}, some_config(), others);
  });
  CHECK(fault.find("unknown key \"ports\" in [[drop]]") != std::string::npos);
  CHECK(fault.find("(allowed: protocol, port, namespace, owner)") != std::string::npos);
}

TEST_CASE("a lone drop: one for each piece of what its namespace means") {
  const auto pieces_of = [](const RuleKeys& keys) {
    std::vector<NamespaceRange> ranges;
    for (const DropRule& one : read_lone_drop(keys, some_config()).pieces) {
      CHECK(one.protocol == 17);
      CHECK(one.ports == PortRange{6881, 6889});
      ranges.push_back(one.namespaces);
    }
    return ranges;
  };
  const RuleKeys keys{{"protocol", "udp"}, {"port", "6881-6889"}};
  using Ranges = std::vector<NamespaceRange>;
  CHECK(pieces_of(keys) == Ranges{NamespaceRange{}});
  CHECK(pieces_of(with(keys, "namespace", "blue")) == Ranges{{1, 1}});
  CHECK(pieces_of(with(keys, "namespace", "vpn")) == Ranges{{1000, 1006}, {1008, 1099}});
  CHECK(pieces_of(with(keys, "namespace", "vpn-1000")) == Ranges{{1000, 1000}});
  CHECK(drop_fault(with(keys, "namespace", "red")).find("is no [[namespace]]") !=
        std::string::npos);
  CHECK(drop_fault(with(keys, "namespace", "")).find("is no [[namespace]]") != std::string::npos);
  CHECK(drop_fault(with(keys, "protocol", "icmp")).find("has no ports") != std::string::npos);
}

TEST_CASE("lone rules beside another configuration: each keeps its name, or is told") {
  std::vector<LoneForward> forwards;
  for (const char* name : {"blue", "vpn-1003", "boss"}) {
    forwards.push_back(read_lone_forward(forward_keys(name), some_config()));
    forwards.back().rule.external.port = static_cast<std::uint16_t>(40000 + forwards.size());
  }
  Config other = some_config();
  other.namespaces[0].policy.first = other.namespaces[0].policy.last = 77;
  other.namespaces[1].name = "dsl";
  const auto faults = fit_to(other, std::span(forwards));
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].place == 1);
  CHECK(faults[0].what.find("\"vpn-1003\" is no [[namespace]]") != std::string::npos);
  CHECK(forwards[0].rule.namespace_id == 77);
  CHECK(forwards[2].rule.namespace_id == 1007);
  other.external_addresses.clear();
  CHECK(fit_to(other, std::span(forwards)).size() == 4);

  std::vector<LoneDrop> drops{
      read_lone_drop({{"protocol", "tcp"}, {"namespace", "vpn"}}, some_config())};
  CHECK(fit_to(other, std::span(drops)).size() == 1);
  other.namespaces[1].name = "vpn";
  other.namespaces.pop_back();
  CHECK(fit_to(other, std::span(drops)).empty());
  REQUIRE(drops[0].pieces.size() == 1);
  CHECK(drops[0].pieces[0].namespaces == NamespaceRange{1000, 1099});
}

}  // namespace
}  // namespace swnat::rules
