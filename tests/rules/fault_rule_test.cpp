// Every fault of a [[drop]], a [[redirect]] and a [[forward]], with its line and its message.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/rules/faulty_file.h"

namespace swnat::rules {
namespace {

// Namespace "blue" with subnets, in lines 5 to 8, and the range "vpn" without, in lines 9 to 11;
// more begins in line 12. The external addresses are 203.0.113.1 and 2001:db8::1.
std::string tenants_and(std::string_view more) {
  return fmt::format(
      "[external]\ninterface = \"wan0\"\naddresses = [\"203.0.113.1\", \"2001:db8::1\"]\n"
      "[[namespace]]\nname = \"blue\"\nfwmark = 1\ninterfaces = [\"b\"]\n"
      "subnets = [\"10.0.0.0/24\", \"fd00::/64\"]\n"
      "[[namespace]]\nname = \"vpn\"\nfwmark = \"5-9\"\n{}\n",
      more);
}

std::string drop(std::string_view lines) {
  return tenants_and(fmt::format("[[drop]]\n{}", lines));
}

// Its lines begin with 13: protocol, from, to.
std::string redirect(std::string_view from, std::string_view to, std::string_view more = "") {
  return tenants_and(fmt::format("[[redirect]]\nprotocol = \"udp\"\nfrom = \"{}\"\nto = \"{}\"\n{}",
                                 from, to, more));
}

// Its lines begin with 13: protocol, external, namespace, to.
std::string forward(std::string_view external, std::string_view name, std::string_view to,
                    std::string_view more = "") {
  return tenants_and(
      fmt::format("[[forward]]\nprotocol = \"tcp\"\nexternal = \"{}\"\nnamespace = \"{}\"\n"
                  "to = \"{}\"\n{}",
                  external, name, to, more));
}

std::string many(std::size_t count, std::string_view table) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += table;
  return text;
}

TEST_CASE("rules that are no rules") {
  check({
      {"one pair of brackets",
       tenants_and("[drop]\nprotocol = \"tcp\""),
       {"12: drop must be written [[drop]] (two pairs of brackets)"}},
      {"a value",
       "forward = 1\n" + tenants_and(""),
       {"1: forward must be a table, written [[forward]], not a whole number"}},
      {"values",
       "redirect = [\n1,\ntrue]\n" + tenants_and(""),
       {"2: redirect must be a table, written [[redirect]], not a whole number",
        "3: redirect must be a table, written [[redirect]], not true or false"}},
      {"too many drops",
       tenants_and(many(4098, "[[drop]]\nprotocol = \"icmp\"\n")),
       {"8204: [[drop]]: at most 4096 fit"}},
  });
}

TEST_CASE("drops") {
  check({
      {"nothing",
       drop(""),
       {"12: [[drop]] protocol is missing: one of \"tcp\", \"udp\", \"icmp\""}},
      {"an unknown key",
       drop("protocol = \"tcp\"\nports = 25"),
       {"14: unknown key \"ports\" in [[drop]]; did you mean \"port\"? (allowed: protocol, port, "
        "namespace)"}},
      {"a protocol",
       drop("protocol = \"sctp\""),
       {"13: [[drop]] protocol: must be one of \"tcp\", \"udp\", \"icmp\", not \"sctp\""}},
      {"a slip of the hand",
       drop("protocol = \"tpc\"\nnamespace = \"bleu\""),
       {"13: [[drop]] protocol: must be one of \"tcp\", \"udp\", \"icmp\", not \"tpc\"; did you "
        "mean \"tcp\"?",
        "14: [[drop]] namespace: \"bleu\" is no [[namespace]]; did you mean \"blue\"? (allowed: "
        "the "
        "name of one, or of one in a range, like \"vpn-1000\")"}},
      {"port 0",
       drop("protocol = \"tcp\"\nport = 0"),
       {"14: [[drop]] port: must be from 1 to 65535, not 0"}},
      {"a high port",
       drop("protocol = \"tcp\"\nport = 65536"),
       {"14: [[drop]] port: must be from 1 to 65535, not 65536"}},
      {"a port that is no number",
       drop("protocol = \"tcp\"\nport = true"),
       {"14: [[drop]] port: must be a number, or text like \"6881-6889\", within 1-65535, not true "
        "or false"}},
      {"no range",
       drop("protocol = \"tcp\"\nport = \"smtp\""),
       {"14: [[drop]] port: \"smtp\" is no port range (allowed: a number, or text like "
        "\"6881-6889\", within 1-65535)"}},
      {"an empty range",
       drop("protocol = \"tcp\"\nport = \"26-25\""),
       {"14: [[drop]] port: \"26-25\" is empty: the first port must not be above the last"}},
      {"ports of ICMP",
       drop("protocol = \"icmp\"\nport = 25"),
       {"14: [[drop]] port: \"icmp\" has no ports; leave the key out"}},
      {"no namespace",
       drop("protocol = \"tcp\"\nnamespace = \"green\""),
       {"14: [[drop]] namespace: \"green\" is no [[namespace]] (allowed: the name of one, or of "
        "one "
        "in a range, like \"vpn-1000\")"}},
      {"no member of the range",
       drop("protocol = \"tcp\"\nnamespace = \"vpn-10\""),
       {"14: [[drop]] namespace: \"vpn-10\" is no [[namespace]] (allowed: the name of one, or of "
        "one in a range, like \"vpn-1000\")"}},
      {"none of the range in other words",
       drop("protocol = \"tcp\"\nnamespace = \"vpn-05\"\n"
            "[[drop]]\nprotocol = \"tcp\"\nnamespace = \"vpn-4\""),
       {"14: [[drop]] namespace: \"vpn-05\" is no [[namespace]] (allowed: the name of one, or of "
        "one in a range, like \"vpn-1000\")",
        "17: [[drop]] namespace: \"vpn-4\" is no [[namespace]] (allowed: the name of one, or of "
        "one in a range, like \"vpn-1000\")"}},
      {"no member of a single one",
       drop("protocol = \"tcp\"\nnamespace = \"blue-1\""),
       {"14: [[drop]] namespace: \"blue-1\" is no [[namespace]]; did you mean \"blue\"? (allowed: "
        "the name of one, or of "
        "one in a range, like \"vpn-1000\")"}},
  });
}

TEST_CASE("redirects") {
  const std::string example = ", as in \"203.0.113.1:80\" or \"[2001:db8::1]:80\"";
  check({
      {"nothing",
       tenants_and("[[redirect]]"),
       {"12: [[redirect]] protocol is missing: one of \"tcp\", \"udp\"",
        "12: [[redirect]] from is missing: the destination that tenants use" + example,
        "12: [[redirect]] to is missing: the destination that packets get instead" + example}},
      {"an unknown key",
       redirect("10.9.9.9:53", "10.7.0.0:53", "external = \"\""),
       {"16: unknown key \"external\" in [[redirect]] (allowed: protocol, from, to, namespace)"}},
      {"a protocol",
       tenants_and("[[redirect]]\nprotocol = \"icmp\"\nfrom = \"10.9.9.9:53\"\n"
                   "to = \"10.7.0.0:53\""),
       {"13: [[redirect]] protocol: must be one of \"tcp\", \"udp\", not \"icmp\""}},
      {"no port",
       redirect("10.9.9.9", "10.7.0.0:0"),
       {"14: [[redirect]] from: \"10.9.9.9\" is no address and port" + example,
        "15: [[redirect]] to: \"10.7.0.0:0\" is no address and port" + example}},
      {"a zone",
       redirect("[fd09::9%eth0]:53", "[fd07::]:53"),
       {"14: [[redirect]] from: \"[fd09::9%eth0]:53\" is no address and port" + example}},
      {"no hosts' addresses",
       redirect("255.255.255.255:53", "127.0.0.1:53"),
       {"14: [[redirect]] from: 255.255.255.255 lies in multicast or reserved (224.0.0.0 and "
        "above); it must be a host's own address",
        "15: [[redirect]] to: 127.0.0.1 lies in the loopback network 127.0.0.0/8; it must be a "
        "host's own address"}},
      {"both families",
       redirect("10.9.9.9:53", "[fd07::]:53"),
       {"15: [[redirect]] to: [fd07::]:53 and 10.9.9.9:53 are not of the same family"}},
      {"nothing changes",
       redirect("10.9.9.9:53", "10.9.9.9:53"),
       {"15: [[redirect]] to: 10.9.9.9:53 is where packets go anyway"}},
      {"external addresses",
       redirect("203.0.113.1:53", "203.0.113.1:54"),
       {"14: [[redirect]] from: 203.0.113.1 is an external address; what is sent to it is for "
        "[[forward]]",
        "15: [[redirect]] to: 203.0.113.1 is an external address; name the endpoint behind it"}},
      {"no namespace",
       redirect("10.9.9.9:53", "10.7.0.0:53", "namespace = \"green\""),
       {"16: [[redirect]] namespace: \"green\" is no [[namespace]] (allowed: the name of one, or "
        "of "
        "one in a range, like \"vpn-1000\")"}},
      {"twice for all",
       redirect("10.9.9.9:53", "10.7.0.0:53",
                "[[redirect]]\nprotocol = \"udp\"\nfrom = \"10.9.9.9:53\"\nto = \"10.7.0.1:53\""),
       {"18: [[redirect]] from: 10.9.9.9:53 is redirected in line 14 already, for the same "
        "namespaces or some of them"}},
      {"twice for one of a range",
       redirect("[fd09::9]:53", "[fd07::]:53",
                "namespace = \"vpn-5\"\n[[redirect]]\nprotocol = \"udp\"\nfrom = "
                "\"[fd09:0::9]:53\"\nto = \"[fd07::1]:53\"\nnamespace = \"vpn\""),
       {"19: [[redirect]] from: [fd09::9]:53 is redirected in line 14 already, for the same "
        "namespaces or some of them"}},
      {"not the same twice",
       redirect("10.9.9.9:53", "10.7.0.0:53",
                "namespace = \"blue\"\n"
                "[[redirect]]\nprotocol = \"udp\"\nfrom = \"10.9.9.9:53\"\nto = \"10.7.0.1:53\"\n"
                "namespace = \"vpn-6\"\n"
                "[[redirect]]\nprotocol = \"udp\"\nfrom = \"10.9.9.9:53\"\nto = \"10.7.0.1:53\"\n"
                "namespace = \"vpn-5\"\n"
                "[[redirect]]\nprotocol = \"udp\"\nfrom = \"10.9.9.9:54\"\nto = \"10.7.0.1:53\"\n"
                "[[redirect]]\nprotocol = \"tcp\"\nfrom = \"10.9.9.9:53\"\nto = \"10.7.0.1:53\""),
       {}},
  });
}

TEST_CASE("forwards") {
  const std::string example = ", as in \"203.0.113.1:80\" or \"[2001:db8::1]:80\"";
  check({
      {"nothing",
       tenants_and("[[forward]]"),
       {"12: [[forward]] protocol is missing: one of \"tcp\", \"udp\"",
        "12: [[forward]] external is missing: where packets come in" + example,
        "12: [[forward]] to is missing: the endpoint within the namespace" + example,
        "12: [[forward]] namespace is missing: the name of the tenant that has \"to\""}},
      {"an unknown key",
       forward("203.0.113.1:80", "blue", "10.0.0.2:80", "port = 3"),
       {"17: unknown key \"port\" in [[forward]] (allowed: protocol, external, namespace, to, "
        "session_limit)"}},
      {"no port",
       forward("203.0.113.1", "blue", "10.0.0.2"),
       {"14: [[forward]] external: \"203.0.113.1\" is no address and port" + example,
        "16: [[forward]] to: \"10.0.0.2\" is no address and port" + example}},
      {"not external",
       forward("203.0.113.2:80", "blue", "10.0.0.2:80"),
       {"14: [[forward]] external: 203.0.113.2 is not among [external] addresses"}},
      {"both families",
       forward("203.0.113.1:80", "blue", "[fd00::2]:80"),
       {"16: [[forward]] to: [fd00::2]:80 and 203.0.113.1:80 are not of the same family"}},
      {"not in the subnets",
       forward("203.0.113.1:80", "blue", "10.0.1.2:80"),
       {"16: [[forward]] to: 10.0.1.2 lies in none of namespace \"blue\"'s subnets and routes"}},
      {"to an external address",
       forward("203.0.113.1:80", "vpn-5", "203.0.113.1:81"),
       {"16: [[forward]] to: 203.0.113.1 is an external address; name the endpoint behind it"}},
      {"no namespace",
       forward("203.0.113.1:80", "green", "10.0.0.2:80"),
       {"15: [[forward]] namespace: \"green\" is no [[namespace]] (allowed: the name of one, or of "
        "one in a range, like \"vpn-1000\")"}},
      {"a whole range",
       forward("203.0.113.1:80", "vpn", "10.0.0.2:80"),
       {"15: [[forward]] namespace: \"vpn\" is a range of namespaces; name one of them, like "
        "\"vpn-5\""}},
      {"twice",
       forward("203.0.113.1:80", "blue", "10.0.0.2:80",
               "[[forward]]\nprotocol = \"tcp\"\nexternal = \"203.0.113.1:80\"\n"
               "namespace = \"vpn-5\"\nto = \"10.0.1.2:80\""),
       {"19: [[forward]] external: 203.0.113.1:80 is forwarded in line 14 already"}},
      {"one endpoint by two external ones, and by two protocols",
       forward("203.0.113.1:80", "blue", "10.0.0.2:80",
               "[[forward]]\nprotocol = \"tcp\"\nexternal = \"203.0.113.1:81\"\n"
               "namespace = \"blue\"\nto = \"10.0.0.2:80\"\n"
               "[[forward]]\nprotocol = \"udp\"\nexternal = \"203.0.113.1:80\"\n"
               "namespace = \"blue\"\nto = \"10.0.0.2:80\""),
       {}},
  });
}

TEST_CASE("a rule for a namespace with a faulty fwmark brings no fault of its own") {
  check({{"a redirect",
          base("[[namespace]]\nname = \"green\"\nfwmark = 0\n[[redirect]]\nprotocol = \"udp\"\n"
               "from = \"10.9.9.9:53\"\nto = \"10.7.0.0:53\"\nnamespace = \"green\""),
          {"9: [[namespace]] fwmark: 0 means no namespace; it must be 1 or more"}}});
}

}  // namespace
}  // namespace swnat::rules
