// Every fault of a configuration file, with its line and its message.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/rules/faulty_file.h"

namespace swnat::rules {
namespace {

// An array with the numbers from 1 on in each element, whose first line is the array's.
std::string list_of(std::string_view element, int count) {
  std::string list = "[";
  for (int i = 1; i <= count; ++i) {
    for (const char c : element) {
      if (c == '}') list += std::to_string(i);
      if (c != '{' && c != '}') list += c;
    }
  }
  return list + "]";
}

TEST_CASE("a file that cannot be read is one error without a line") {
  const LoadResult result = load_config("/nonexistent/swnat.toml");
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].text() ==
        "/nonexistent/swnat.toml: cannot be read: No such file or directory");
}

TEST_CASE("what is no TOML is one error") {
  const auto found = faults("[external]\ninterface = \n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].starts_with("2: not TOML: "));
  const auto twice = faults(base("[external]\n"));
  REQUIRE(twice.size() == 1);
  CHECK(twice[0].starts_with("7: not TOML: "));
}

TEST_CASE("an error is one line, whatever the file says") {
  check({
      {"text with a line break",
       external("interface = \"wan\\n0\"\naddresses = [\"203.0.113.1\"]\n"),
       {"2: [external] interface: \"wan\\n0\" is no interface name (allowed: 1 to 15 of A-Z a-z "
        "0-9 "
        "_ . -)"}},
      {"a key that colours a terminal",
       base("[nat]\n\"\\u001b[31m\" = 1\n"),
       {"8: unknown key \"\\x1b[31m\" in [nat] (allowed: mapping, filtering, hairpin, fwmark_mask, "
        "max_sessions, session_limit, port_limit, port_block, at_limit, populate_memory)"}},
  });
  const auto cut = faults(base("[nat]\nhairpin = tru\n"));
  REQUIRE(cut.size() == 1);
  CHECK(cut[0].starts_with("8: not TOML: "));
  CHECK(cut[0].find('\n') == std::string::npos);
}

TEST_CASE("what is missing") {
  check({
      {"everything",
       "",
       {"1: [external] interface is missing: the interface to the outside, as in \"wan0\"",
        "1: [external] addresses is missing: at least one address, as in [\"203.0.113.1\"]",
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
        " session_limit, port_limit, port_block, at_limit, populate_memory)"}},
      {"a near miss",
       base("[queue]\nworker = 3"),
       {"8: unknown key \"worker\" in [queue]; did you mean \"workers\"? (allowed: first, workers, "
        "max_packets,"
        " fail_open)"}},
      {"a table",
       base("[logs]\nlevel = 3"),
       {"7: unknown key \"logs\" in the file; did you mean \"log\"? (allowed: external, nat, "
        "timeouts, queue, control, log, metrics, pcp, namespace, drop,"
        " redirect, forward)"}},
      {"in a namespace",
       base("subnet = 3"),
       {"7: unknown key \"subnet\" in [[namespace]]; did you mean \"subnets\"? (allowed: name, "
        "fwmark, interfaces,"
        " subnets, session_limit, port_limit, port_block, external, routes, untranslated)"}},
      {"in a route",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/24\"]\n"
            "routes = [{ to = \"10.1.0.0/16\", via = \"10.0.0.1\", dev = \"b\" }]"),
       {"9: unknown key \"dev\" in [[namespace]] routes (allowed: to, via)"}},
      {"before what is missing for it",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/24\"]\n"
            "routes = [{ to = \"10.1.0.0/16\", vi = \"10.0.0.1\" }]"),
       {"9: unknown key \"vi\" in [[namespace]] routes; did you mean \"via\"? (allowed: to, via)",
        "9: [[namespace]] routes via is missing: the router's address"}},
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
      {"a mapping",
       base("[nat]\nmapping = \"symmetric\""),
       {"8: [nat] mapping: must be one of \"endpoint-independent\","
        " \"address-and-port-dependent\", not \"symmetric\""}},
      {"fail-open",
       base("[queue]\nfail_open = 1"),
       {"8: [queue] fail_open: must be true or false, not a whole number"}},
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
        " subnets, session_limit, port_limit, port_block, external, routes, untranslated)"}},
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
      {"no addresses", wan("[]"), {"3: [external] addresses: must hold at least one address"}},
      {"no address",
       wan("[\"203.0.113\"]"),
       {"3: [external] addresses: \"203.0.113\" is no address, as in \"203.0.113.1\" or "
        "\"2001:db8::1\""}},
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
      {"no host's addresses of IPv6",
       wan("[\n\"::\",\n\"::1\",\n\"::ffff:203.0.113.1\",\n\"fe80::1\",\n\"ff02::1\"]"),
       {"4: [external] addresses: :: lies in ::/96, which no host can have; it must be a host's "
        "own "
        "address",
        "5: [external] addresses: ::1 lies in ::/96, which no host can have; it must be a host's "
        "own address",
        "6: [external] addresses: ::ffff:203.0.113.1 lies in ::ffff:0:0/96, which stands for IPv4 "
        "addresses; it must be a host's own address",
        "7: [external] addresses: fe80::1 lies in the link-local network fe80::/10; it must be a "
        "host's own address",
        "8: [external] addresses: ff02::1 lies in multicast (ff00::/8); it must be a host's own "
        "address"}},
      {"a zone",
       wan("[\"2001:db8::1%eth0\"]"),
       {"3: [external] addresses: \"2001:db8::1%eth0\" is no address, as in \"203.0.113.1\" or "
        "\"2001:db8::1\""}},
      {"twice",
       wan("[\"203.0.113.1\",\n\"203.0.113.1\"]"),
       {"4: [external] addresses: 203.0.113.1 is there twice"}},
      {"twice in other words",
       wan("[\"2001:db8::1\",\n\"2001:0DB8:0::1\"]"),
       {"4: [external] addresses: 2001:db8::1 is there twice"}},
      {"as many as fit", wan(list_of("\"198.51.100.{}\",\n\"2001:db8::{}\",\n", 64)), {}},
      {"too many of IPv4",
       wan(list_of("\"198.51.100.{}\",\n", 66)),
       {"67: [external] addresses: at most 64 of IPv4 fit"}},
      {"too many of IPv6",
       wan(list_of("\"2001:db8::{}\",\n", 66)),
       {"67: [external] addresses: at most 64 of IPv6 fit"}},
      {"interface",
       external("interface = \"a name that is too long\"\naddresses = [\"203.0.113.1\"]"),
       {"2: [external] interface: \"a name that is too long\" is no interface name (allowed: 1 to "
        "15 of A-Z a-z 0-9 _ . -)"}},
      {"ports empty",
       wan("[\"203.0.113.1\"]", "ports = \"40000-30000\""),
       {"4: [external] ports: \"40000-30000\" is empty: the first port must not be above the "
        "last"}},
      {"ports too high",
       wan("[\"203.0.113.1\"]", "ports = \"40000-65536\""),
       {"4: [external] ports: \"40000-65536\" is no port range (allowed: \"FIRST-LAST\" within "
        "1-65535, or an array of such texts)"}},
      {"port 0",
       wan("[\"203.0.113.1\"]", "ports = \"0-100\""),
       {"4: [external] ports: \"0-100\" is no port range (allowed: \"FIRST-LAST\" within "
        "1-65535, or an array of such texts)"}},
      {"no ports",
       wan("[\"203.0.113.1\"]", "ports = \"\""),
       {"4: [external] ports: \"\" is no port range (allowed: \"FIRST-LAST\" within 1-65535, or an "
        "array of such texts)"}},
      {"no ranges of ports",
       wan("[\"203.0.113.1\"]", "ports = []"),
       {"4: [external] ports: must hold 1 to 64 ranges, not 0"}},
      {"ranges of ports that overlap, one of them empty, one no text",
       wan("[\"203.0.113.1\"]", "ports = [\"40000-50000\",\n\"20000-40000\",\n\"9-8\",\n7]"),
       {"5: [external] ports: \"20000-40000\" overlaps \"40000-50000\"",
        "6: [external] ports: \"9-8\" is empty: the first port must not be above the last",
        "7: [external] ports: must hold texts in quotes, not a whole number"}},
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
      {"the port limit",
       base("[nat]\nmax_sessions = 100\nport_limit = 101"),
       {"9: [nat] port_limit: must be from 0 to 100, not 101"}},
      {"a port block",
       base("[nat]\nport_block = 96"),
       {"8: [nat] port_block: must be 0 for no blocks, or a power of two from 64 to 4096, not 96"}},
      {"a large port block",
       base("port_block = 8192"),
       {"7: [[namespace]] port_block: must be from 0 to 4096, not 8192"}},
      {"port blocks of too few ports for the workers",
       base("port_block = 64\n[nat]\nport_block = 64\n[queue]\nworkers = 64"),
       {"7: [[namespace]] port_block: with 64 workers it must be at least 128, not 64",
        "9: [nat] port_block: with 64 workers it must be at least 128, not 64"}},
      {"a forward's limit",
       base("[[forward]]\nprotocol = \"tcp\"\nexternal = \"203.0.113.1:80\"\nnamespace = "
            "\"blue\"\nto = \"10.0.0.2:80\"\nsession_limit = 0"),
       {"12: [[forward]] session_limit: must be from 1 to 262144, not 0"}},
      {"a namespace's port limit",
       base("port_limit = \"many\""),
       {"7: [[namespace]] port_limit: must be a whole number from 0 to 262144, not text"}},
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
      {"a group that is none",
       base("[control]\nadmin_group = \"no-such-group\""),
       {"8: [control] admin_group: \"no-such-group\" is no group of this machine (allowed: a name "
        "that `getent group` shows)"}},
      {"a group by its number",
       base("[control]\nadmin_group = 0"),
       {"8: [control] admin_group: must be text in quotes, not a whole number"}},
      {"a group's name that goes on after its end",
       base("[control]\nadmin_group = \"daemon\\u0000x\""),
       {"8: [control] admin_group: \"daemon\\x00x\" is no group of this machine (allowed: a name "
        "that "
        "`getent group` shows)"}},
      {"where metrics are",
       base("[metrics]\nlisten = \"localhost:9469\"\ntextfile = \"swnat.prom\""),
       {"8: [metrics] listen: \"localhost:9469\" is no address and port, as in \"127.0.0.1:9469\" "
        "or "
        "\"[::1]:9469\"",
        "9: [metrics] textfile: \"swnat.prom\" is no file's path (allowed: an absolute path of at "
        "most 4095 bytes)"}},
      {"metrics without a port, or with none",
       base("[metrics]\nlisten = \"127.0.0.1:0\""),
       {"8: [metrics] listen: \"127.0.0.1:0\" is no address and port, as in \"127.0.0.1:9469\" or "
        "\"[::1]:9469\""}},
      {"another key of metrics",
       base("[metrics]\nport = 9469"),
       {"8: unknown key \"port\" in [metrics] (allowed: listen, textfile)"}},
      {"ports on request without limits",
       base("[pcp]\nenabled = 1\nmax_per_namespace = 0\nlifetime = \"2d\""),
       {"8: [pcp] enabled: must be true or false, not a whole number",
        "9: [pcp] max_per_namespace: must be from 1 to 4096, not 0",
        "10: [pcp] lifetime: must be at most 24 hours (86400), not 172800"}},
      {"another key of ports on request",
       base("[pcp]\nmax = 9"),
       {"8: unknown key \"max\" in [pcp] (allowed: enabled, max_per_namespace, lifetime)"}},
      {"a key that is none",
       base("[control]\nadmin = \"daemon\""),
       {"8: unknown key \"admin\" in [control] (allowed: socket, "
        "state, repair, admin_group)"}},
  });
}

TEST_CASE("the log") {
  check({
      {"no table",
       "log = true\n" + base(""),
       {"1: log must be a table, written [log], not true or false"}},
      {"no place",
       base("[log]\njournal = false\nsyslog = false"),
       {"7: [log] names no place to write to: at least one is needed of file, journal, syslog and "
        "ipfix"}},
      {"an unknown key",
       base("[log]\njournal = true\nlevel = 3"),
       {"9: unknown key \"level\" in [log] (allowed: file, format, journal, syslog, ipfix, "
        "destinations, events)"}},
      {"no paths, and no format",
       base("[log]\nfile = \"log\"\nformat = \"text\""),
       {"8: [log] file: \"log\" is no file's path (allowed: an absolute path of at most 4095 "
        "bytes)",
        "9: [log] format: must be one of \"json\", not \"text\""}},
      {"no switches",
       base("[log]\njournal = 1\ndestinations = \"no\"\nsyslog = 514"),
       {"8: [log] journal: must be true or false, not a whole number",
        "9: [log] destinations: must be true or false, not text",
        "10: [log] syslog: must be true, false or text like \"udp://192.0.2.1:514\", not a whole "
        "number"}},
      {"no receivers",
       base("[log]\nsyslog = \"tcp://192.0.2.1:514\"\nipfix = \"udp://collector.example:4739\""),
       {"8: [log] syslog: \"tcp://192.0.2.1:514\" is no receiver (allowed: true, false or "
        "\"udp://ADDRESS:PORT\", as in \"udp://192.0.2.1:4739\" or \"udp://[2001:db8::1]:4739\")",
        "9: [log] ipfix: \"udp://collector.example:4739\" is no receiver (allowed: "
        "\"udp://ADDRESS:PORT\" or \"tcp://ADDRESS:PORT\", as in \"udp://192.0.2.1:4739\" or "
        "\"udp://[2001:db8::1]:4739\")"}},
      {"an event with a slip of the hand",
       base("[log]\njournal = true\nevents = [\"mappings\"]"),
       {"9: [log] events: must hold some of \"mapping\", \"block\", \"session\", not "
        "\"mappings\"; did you mean \"mapping\"?"}},
      {"other events",
       base("[log]\njournal = true\nevents = [\"mapping\",\n\"packet\"]"),
       {"10: [log] events: must hold some of \"mapping\", \"block\", \"session\", not \"packet\""}},
      {"no events",
       base("[log]\njournal = true\nevents = []"),
       {"9: [log] events: must hold at least one of \"mapping\", \"block\", \"session\""}},
  });
}

TEST_CASE("all faults are told at once, by line") {
  check({{"three",
          base("[[drop]]\n[queue]\nworkers = 3\n[nat]\nhairpin = 1\nfwmark_mask = 2"),
          {"6: [[namespace]] fwmark: 1 has bits outside fwmark_mask = 0x2",
           "7: [[drop]] protocol is missing: one of \"tcp\", \"udp\", \"icmp\"",
           "9: [queue] workers: must be a power of two (1, 2, 4, 8, 16, 32 or 64), not 3",
           "11: [nat] hairpin: must be true or false, not a whole number"}}});
}

}  // namespace
}  // namespace swnat::rules
