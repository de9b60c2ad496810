// Every fault of a configuration file, with its line and its message.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "rules/config.h"
#include "tests/rules/temporary_file.h"

namespace swnat::rules {
namespace {

// The errors as "LINE: message".
std::vector<std::string> faults(std::string_view text) {
  const TemporaryFile file(text);
  const LoadResult result = load_config(file.path());
  CHECK(result.config.has_value() == result.errors.empty());
  std::vector<std::string> lines;
  for (const ConfigError& error : result.errors) {
    CHECK(error.file == file.path());
    CHECK(error.text() == fmt::format("{}:{}: {}", error.file, error.line, error.message));
    lines.push_back(fmt::format("{}: {}", error.line, error.message));
  }
  return lines;
}

struct Case {
  const char* name;
  std::string text;
  std::vector<std::string> expected;
};

void check(const std::vector<Case>& cases) {
  for (const auto& [name, text, expected] : cases) {
    CAPTURE(name);
    const std::vector<std::string> found = faults(text);
    CHECK(fmt::format("{}", fmt::join(found, "\n")) ==
          fmt::format("{}", fmt::join(expected, "\n")));
  }
}

// Six lines without a fault; what a case adds begins in line 7.
std::string base(std::string_view more) {
  return fmt::format(
      "[external]\ninterface = \"wan0\"\naddresses = [\"203.0.113.1\"]\n"
      "[[namespace]]\nname = \"blue\"\nfwmark = 1\n{}\n",
      more);
}

// Another namespace, its name in line 8 and its fwmark in line 9; more begins in line 10.
std::string second(std::string_view name, std::string_view fwmark, std::string_view more = "") {
  return base(fmt::format("[[namespace]]\nname = \"{}\"\nfwmark = {}\n{}", name, fwmark, more));
}

// The [external] table alone is the case's; its line 1 is "[external]".
std::string external(std::string_view lines) {
  return fmt::format("[external]\n{}\n[[namespace]]\nname = \"blue\"\nfwmark = 1\n", lines);
}

std::string wan(std::string_view addresses, std::string_view more = "") {
  return external(fmt::format("interface = \"wan0\"\naddresses = {}\n{}", addresses, more));
}

TEST_CASE("a file that cannot be read is one error without a line") {
  const LoadResult result = load_config("/nonexistent/swnat.toml");
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].text() ==
        "/nonexistent/swnat.toml: cannot be read: No such file or directory");
  const LoadResult folder = load_config("/tmp");
  REQUIRE(folder.errors.size() == 1);
  CHECK(folder.errors[0].text() == "/tmp: cannot be read: Is a directory");
}

TEST_CASE("what is no TOML is one error") {
  const auto found = faults("[external]\ninterface = \n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].starts_with("2: not TOML: "));
  const auto twice = faults(base("[external]\n"));
  REQUIRE(twice.size() == 1);
  CHECK(twice[0].starts_with("7: not TOML: "));
}

TEST_CASE("what is missing") {
  check({
      {"everything",
       "",
       {"1: [external] interface is missing: the interface to the outside, as in \"wan0\"",
        "1: [external] addresses is missing: at least one IPv4 address, as in [\"203.0.113.1\"]",
        "1: no [[namespace]] is configured: at least one is needed, with name and fwmark (two "
        "pairs of brackets)"}},
      {"a namespace's name and fwmark",
       base("[[namespace]]"),
       {"7: [[namespace]] name is missing: each namespace needs one",
        "7: [[namespace]] fwmark is missing: it names the tenant (a number, or for a range text "
        "like"
        " \"1000-1999\", from 1 to 4294967295)"}},
      {"brackets",
       "[external]\ninterface = \"wan0\"\naddresses = [\"203.0.113.1\"]\n[namespace]\n",
       {"4: no [[namespace]] is configured: at least one is needed, with name and fwmark (two "
        "pairs of brackets)"}},
      {"a route's ends",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/24\"]\nroutes = [{}]"),
       {"9: [[namespace]] routes to is missing: the subnet behind the router",
        "9: [[namespace]] routes via is missing: the router's address"}},
  });
}

TEST_CASE("unknown keys") {
  check({
      {"far from any",
       base("[nat]\nspeed = 3"),
       {"8: unknown key \"speed\" in [nat] (allowed: mapping, filtering, hairpin, fwmark_mask, "
        "max_sessions,"
        " session_limit, at_limit)"}},
      {"a near miss",
       base("[queue]\nworker = 3"),
       {"8: unknown key \"worker\" in [queue]; did you mean \"workers\"? (allowed: first, workers, "
        "max_packets,"
        " fail_open)"}},
      {"a table",
       base("[log]\nlevel = 3"),
       {"7: unknown key \"log\" in the file (allowed: external, nat, timeouts, queue, control, "
        "namespace, drop,"
        " redirect, forward)"}},
      {"in a namespace",
       base("subnet = 3"),
       {"7: unknown key \"subnet\" in [[namespace]]; did you mean \"subnets\"? (allowed: name, "
        "fwmark, interfaces,"
        " subnets, session_limit, external, routes)"}},
      {"in a route",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/24\"]\n"
            "routes = [{ to = \"10.1.0.0/16\", via = \"10.0.0.1\", dev = \"b\" }]"),
       {"9: unknown key \"dev\" in [[namespace]] routes (allowed: to, via)"}},
  });
}

TEST_CASE("wrong kinds of values") {
  check({
      {"text",
       base("[nat]\nat_limit = 3"),
       {"8: [nat] at_limit: must be text in quotes, not a whole number"}},
      {"true or false",
       base("[nat]\nhairpin = \"yes\""),
       {"8: [nat] hairpin: must be true or false, not text"}},
      {"a number",
       base("[nat]\nmax_sessions = 3.5"),
       {"8: [nat] max_sessions: must be a whole number from 1 to 16777216, not a number with a "
        "fraction"}},
      {"a choice",
       base("[nat]\nfiltering = \"none\""),
       {"8: [nat] filtering: must be one of \"endpoint-independent\", \"address-dependent\","
        " \"address-and-port-dependent\", not \"none\""}},
      {"a list",
       wan("\"203.0.113.1\""),
       {"3: [external] addresses: must be an array of texts, as in [\"…\", \"…\"], not text"}},
      {"in a list",
       wan("[\n1]"),
       {"4: [external] addresses: must hold texts in quotes, not a whole number"}},
      {"a table",
       base("nat = 1"),
       {"7: unknown key \"nat\" in [[namespace]] (allowed: name, fwmark, interfaces,"
        " subnets, session_limit, external, routes)"}},
      {"a section",
       "nat = 1\n" + base(""),
       {"1: nat must be a table, written [nat], not a whole number"}},
      {"routes",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/24\"]\nroutes = \"10.1.0.0/16\""),
       {"9: [[namespace]] routes: must be an array like [{ to = \"10.9.0.0/16\", via = "
        "\"10.0.0.254\" }], not text"}},
      {"a fwmark",
       base("[[namespace]]\nname = \"b\"\nfwmark = true"),
       {"9: [[namespace]] fwmark: must be a number, or for a range text like \"1000-1999\", from 1 "
        "to 4294967295,"
        " not true or false"}},
  });
}

TEST_CASE("the external side") {
  check({
      {"no addresses", wan("[]"), {"3: [external] addresses: must hold at least one IPv4 address"}},
      {"no address",
       wan("[\"203.0.113\"]"),
       {"3: [external] addresses: \"203.0.113\" is no IPv4 address, as in \"203.0.113.1\""}},
      {"no host's addresses",
       wan("[\n\"0.0.0.0\",\n\"127.0.0.1\",\n\"224.0.0.1\",\n\"255.255.255.255\"]"),
       {"4: [external] addresses: 0.0.0.0 lies in 0.0.0.0/8, which no host can have; it must be a "
        "host's own address",
        "5: [external] addresses: 127.0.0.1 lies in the loopback network 127.0.0.0/8; it must be a "
        "host's own address",
        "6: [external] addresses: 224.0.0.1 lies in multicast or reserved (224.0.0.0 and above); "
        "it must be a host's"
        " own address",
        "7: [external] addresses: 255.255.255.255 lies in multicast or reserved (224.0.0.0 and "
        "above); it must be a"
        " host's own address"}},
      {"twice",
       wan("[\"203.0.113.1\",\n\"203.0.113.1\"]"),
       {"4: [external] addresses: 203.0.113.1 is there twice"}},
      {"interface",
       external("interface = \"a name that is too long\"\naddresses = [\"203.0.113.1\"]"),
       {"2: [external] interface: \"a name that is too long\" is no interface name (allowed: 1 to "
        "15 letters, digits"
        " and signs, without / : + * $ \\ quotes or space)"}},
      {"ports empty",
       wan("[\"203.0.113.1\"]", "ports = \"40000-30000\""),
       {"4: [external] ports: \"40000-30000\" is empty: the first port must not be above the "
        "last"}},
      {"ports too high",
       wan("[\"203.0.113.1\"]", "ports = \"40000-65536\""),
       {"4: [external] ports: \"40000-65536\" is no port range (allowed: \"FIRST-LAST\" within "
        "1-65535)"}},
      {"port 0",
       wan("[\"203.0.113.1\"]", "ports = \"0-100\""),
       {"4: [external] ports: \"0-100\" is no port range (allowed: \"FIRST-LAST\" within "
        "1-65535)"}},
      {"no ports",
       wan("[\"203.0.113.1\"]", "ports = \"\""),
       {"4: [external] ports: \"\" is no port range (allowed: \"FIRST-LAST\" within 1-65535)"}},
  });
}

TEST_CASE("limits, times, queues and paths") {
  check({
      {"sessions",
       base("[nat]\nmax_sessions = 0"),
       {"8: [nat] max_sessions: must be from 1 to 16777216, not 0"}},
      {"the limit",
       base("[nat]\nmax_sessions = 100\nsession_limit = 101"),
       {"9: [nat] session_limit: must be from 1 to 100, not 101"}},
      {"a namespace's limit",
       base("session_limit = 101\n[nat]\nmax_sessions = 100"),
       {"7: [[namespace]] session_limit: must be from 1 to 100, not 101"}},
      {"the mask",
       base("[nat]\nfwmark_mask = 0"),
       {"8: [nat] fwmark_mask: must be from 1 to 4294967295, not 0"}},
      {"too long",
       base("[timeouts]\nudp = \"8d\""),
       {"8: [timeouts] udp: must be from 1 second to 7 days (604800), not 691200"}},
      {"too short",
       base("[timeouts]\nicmp = 0"),
       {"8: [timeouts] icmp: must be from 1 second to 7 days (604800), not 0"}},
      {"negative",
       base("[timeouts]\ntcp_transitory = -1"),
       {"8: [timeouts] tcp_transitory: must be from 0 seconds to 7 days (604800), not -1"}},
      {"no time",
       base("[timeouts]\ntcp_established = \"2 hours\""),
       {"8: [timeouts] tcp_established: \"2 hours\" is no time (allowed: a number of seconds, or "
        "text like \"2h4m\","
        " \"90s\" or \"1d\", up to 7 days)"}},
      {"a time of another kind",
       base("[timeouts]\nudp = 1.5"),
       {"8: [timeouts] udp: must be a number of seconds, or text like \"2h4m\", \"90s\" or \"1d\", "
        "up to 7 days, not a"
        " number with a fraction"}},
      {"workers",
       base("[queue]\nworkers = 3"),
       {"8: [queue] workers: must be a power of two (1, 2, 4, 8, 16, 32 or 64), not 3"}},
      {"many workers",
       base("[queue]\nworkers = 128"),
       {"8: [queue] workers: must be from 1 to 64, not 128"}},
      {"queues",
       base("[queue]\nfirst = 65535\nworkers = 2"),
       {"8: [queue] first: 2 workers from queue 65535 on go beyond the last queue, 65535"}},
      {"packets",
       base("[queue]\nmax_packets = 0"),
       {"8: [queue] max_packets: must be from 1 to 1048576, not 0"}},
      {"a path",
       base("[control]\nsocket = \"control.sock\""),
       {"8: [control] socket: \"control.sock\" is no file's path (allowed: an absolute path of at "
        "most 107 bytes)"}},
      {"a long path",
       base(fmt::format("[control]\nsocket = \"/{:x>107}\"", "")),
       {fmt::format("8: [control] socket: \"/{:x>107}\" is no file's path (allowed: an absolute "
                    "path of at most 107"
                    " bytes)",
                    "")}},
  });
}

TEST_CASE("names and fwmarks of namespaces") {
  check({
      {"no name",
       second("", "2"),
       {"8: [[namespace]] name: \"\" is no name (allowed: 1 to 64 of A-Z a-z 0-9 _ . -)"}},
      {"an odd name",
       second("a b", "2"),
       {"8: [[namespace]] name: \"a b\" is no name (allowed: 1 to 64 of A-Z a-z 0-9 _ . -)"}},
      {"the same name",
       second("blue", "2"),
       {"8: [[namespace]] name: \"blue\" is taken by line 5; names must differ"}},
      {"the name of a range's member",
       second("vpn-7", "2", "[[namespace]]\nname = \"vpn\"\nfwmark = \"5-9\""),
       {"8: [[namespace]] name: \"vpn-7\" is what a namespace of the range \"vpn\" (line 11) is "
        "called; names must"
        " differ"}},
      {"no fwmark",
       second("green", "0"),
       {"9: [[namespace]] fwmark: 0 means no namespace; it must be 1 or more"}},
      {"negative",
       second("green", "-1"),
       {"9: [[namespace]] fwmark: -1 is no fwmark (allowed: a number, or for a range text like "
        "\"1000-1999\", from 1 to"
        " 4294967295)"}},
      {"beyond the mask",
       second("green", "0x10001"),
       {"9: [[namespace]] fwmark: 65537 has bits outside fwmark_mask = 0xffff"}},
      {"a range beyond the mask",
       second("green", "\"8-40\"", "[nat]\nfwmark_mask = 0x1f"),
       {"9: [[namespace]] fwmark: 8-40 has bits outside fwmark_mask = 0x1f"}},
      {"the same fwmark",
       second("green", "1"),
       {"9: [[namespace]] fwmark: 1 overlaps 1 of namespace \"blue\" (line 6); each fwmark names "
        "one namespace"}},
      {"in a range",
       second("vpn", "\"1-5\""),
       {"9: [[namespace]] fwmark: 1-5 overlaps 1 of namespace \"blue\" (line 6); each fwmark names "
        "one namespace"}},
      {"ranges",
       second("vpn", "\"10-50\"", "[[namespace]]\nname = \"lan\"\nfwmark = \"20-30\""),
       {"12: [[namespace]] fwmark: 20-30 overlaps 10-50 of namespace \"vpn\" (line 9); each fwmark "
        "names one"
        " namespace"}},
      {"an empty range",
       second("vpn", "\"5-5\""),
       {"9: [[namespace]] fwmark: \"5-5\" is empty: the first fwmark must be below the last"}},
      {"no range",
       second("vpn", "\"5\""),
       {"9: [[namespace]] fwmark: \"5\" is no fwmark (allowed: a number, or for a range text like "
        "\"1000-1999\", from 1"
        " to 4294967295)"}},
      {"too many",
       second("vpn", "\"0x10000-0x20000\"", "[nat]\nfwmark_mask = 0xffffffff"),
       {"9: [[namespace]] fwmark: 65536-131072 brings the namespaces to 65538; at most 65536 fit"}},
      {"no route table",
       second("green", "0xf0000000",
              "interfaces = [\"g\"]\nsubnets = [\"10.0.0.0/8\"]\n[nat]\nfwmark_mask = 0xffffffff"),
       {"9: [[namespace]] fwmark: 4026531840 is too large for a route table of its own (allowed "
        "under this"
        " fwmark_mask: up to 754974719)"}},
  });
}

TEST_CASE("interfaces, subnets and routes of namespaces") {
  const std::string net = "interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/24\"]\n";
  check({
      {"an interface",
       base("interfaces = [\"a/b\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"7: [[namespace]] interfaces: \"a/b\" is no interface name (allowed: 1 to 15 letters, "
        "digits and signs, without"
        " / : + * $ \\ quotes or space)"}},
      {"the external interface",
       base("interfaces = [\"wan0\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"7: [[namespace]] interfaces: wan0 is the external interface (line 2); a tenant needs its "
        "own"}},
      {"another's interface",
       base(net + "[[namespace]]\nname = \"green\"\nfwmark = 2\n" + net),
       {"12: [[namespace]] interfaces: b already belongs to namespace \"blue\" (line 7)"}},
      {"no subnet",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0\"]"),
       {"8: [[namespace]] subnets: \"10.0.0.0\" is no IPv4 subnet, as in \"10.0.0.0/24\""}},
      {"a long prefix",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/33\"]"),
       {"8: [[namespace]] subnets: \"10.0.0.0/33\" is no IPv4 subnet, as in \"10.0.0.0/24\""}},
      {"host bits",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.1/24\"]"),
       {"8: [[namespace]] subnets: \"10.0.0.1/24\" has host bits set; the subnet is "
        "\"10.0.0.0/24\""}},
      {"all addresses",
       base("interfaces = [\"b\"]\nsubnets = [\"0.0.0.0/0\"]"),
       {"8: [[namespace]] subnets: 0.0.0.0/0 contains 0.0.0.0/8, which no host can have; it must "
        "be hosts' own"
        " addresses"}},
      {"overlapping",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/24\",\n\"10.0.0.128/25\"]"),
       {"9: [[namespace]] subnets: 10.0.0.128/25 overlaps 10.0.0.0/24 of the same namespace"}},
      {"an external address",
       base("interfaces = [\"b\"]\nsubnets = [\"203.0.113.0/24\"]"),
       {"8: [[namespace]] subnets: 203.0.113.0/24 contains the external address 203.0.113.1"}},
      {"no interfaces",
       base("subnets = [\"10.0.0.0/24\"]"),
       {"7: [[namespace]] subnets: namespace \"blue\" has subnets but no interfaces to route them "
        "to"}},
      {"no subnets",
       base("interfaces = [\"b\"]"),
       {"7: [[namespace]] interfaces: namespace \"blue\" has interfaces but no subnets: every "
        "source would be dropped"}},
      {"a range",
       second("vpn", "\"5-9\"", net),
       {"10: [[namespace]] interfaces: namespace \"vpn\" is a range of namespaces, which no "
        "interface or subnet can tell"
        " apart; the operator's own rules set their fwmarks and routes",
        "11: [[namespace]] subnets: namespace \"vpn\" is a range of namespaces, which no interface "
        "or subnet can tell"
        " apart; the operator's own rules set their fwmarks and routes"}},
      {"a router outside",
       base(net + "routes = [{ to = \"10.9.0.0/16\", via = \"10.0.1.1\" }]"),
       {"9: [[namespace]] routes: via 10.0.1.1 lies in none of this namespace's subnets"}},
      {"a route twice",
       base(net + "routes = [{ to = \"10.9.0.0/16\", via = \"10.0.0.1\" },\n{ to = "
                  "\"10.9.0.0/16\", via = \"10.0.0.2\" }]"),
       {"10: [[namespace]] routes: 10.9.0.0/16 is already a route of this namespace"}},
      {"a route to a subnet",
       base(net + "routes = [{ to = \"10.0.0.0/24\", via = \"10.0.0.1\" }]"),
       {"9: [[namespace]] routes: 10.0.0.0/24 is already a subnet of this namespace"}},
      {"a route to an external address",
       base(net + "routes = [{ to = \"203.0.0.0/16\", via = \"10.0.0.1\" }]"),
       {"9: [[namespace]] routes: 203.0.0.0/16 contains the external address 203.0.113.1"}},
      {"another external address",
       base("external = [\"203.0.113.9\"]"),
       {"7: [[namespace]] external: 203.0.113.9 is not among [external] addresses"}},
      {"an external address twice",
       base("external = [\"203.0.113.1\",\n\"203.0.113.1\"]"),
       {"8: [[namespace]] external: 203.0.113.1 is there twice"}},
      {"no external address",
       base("external = []"),
       {"7: [[namespace]] external: must not be empty; without the key the namespace may use all "
        "external addresses"}},
  });
}

TEST_CASE("what is not yet supported is refused") {
  check({
      {"IPv6 addresses",
       wan("[\"203.0.113.1\", \"2001:db8:1::1\"]"),
       {"3: [external] addresses: IPv6 is not yet supported: \"2001:db8:1::1\" (allowed: IPv4)"}},
      {"IPv6 subnets",
       base("interfaces = [\"b\"]\nsubnets = [\"fd00::/64\"]"),
       {"8: [[namespace]] subnets: IPv6 is not yet supported: \"fd00::/64\" (allowed: IPv4)"}},
      {"IPv6 routes",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/24\"]\nroutes = [{ to = \"fd01::/64\", "
            "via = \"fd00::1\" }]"),
       {"9: [[namespace]] routes to: IPv6 is not yet supported: \"fd01::/64\" (allowed: IPv4)",
        "9: [[namespace]] routes via: IPv6 is not yet supported: \"fd00::1\" (allowed: IPv4)"}},
      {"mapping",
       base("[nat]\nmapping = \"address-and-port-dependent\""),
       {"8: [nat] mapping: \"address-and-port-dependent\" is not yet supported (allowed: "
        "\"endpoint-independent\")"}},
      {"fail-open",
       base("[queue]\nfail_open = true"),
       {"8: [queue] fail_open: true is not yet supported (allowed: false)"}},
      {"drops",
       base("[[drop]]\nprotocol = \"tcp\"\n[[drop]]\nport = 25"),
       {"7: [[drop]] is not yet supported", "9: [[drop]] is not yet supported"}},
      {"redirects",
       base("[[redirect]]\nprotocol = \"tcp\""),
       {"7: [[redirect]] is not yet supported"}},
      {"forwards",
       base("[[forward]]\nprotocol = \"tcp\""),
       {"7: [[forward]] is not yet supported"}},
  });
}

TEST_CASE("all faults are told at once, by line") {
  check({{"three",
          base("[[drop]]\n[queue]\nworkers = 3\n[nat]\nhairpin = 1\nfwmark_mask = 2"),
          {"6: [[namespace]] fwmark: 1 has bits outside fwmark_mask = 0x2",
           "7: [[drop]] is not yet supported",
           "9: [queue] workers: must be a power of two (1, 2, 4, 8, 16, 32 or 64), not 3",
           "11: [nat] hairpin: must be true or false, not a whole number"}}});
}

}  // namespace
}  // namespace swnat::rules
