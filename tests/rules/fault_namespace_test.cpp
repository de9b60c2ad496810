// Every fault of a [[namespace]], with its line and its message.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/rules/faulty_file.h"

namespace swnat::rules {
namespace {

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
      {"twice in a range",
       second("vpn", "\"1-5\"", "[[namespace]]\nname = \"lan\"\nfwmark = 1"),
       {"12: [[namespace]] fwmark: 1 overlaps 1 of namespace \"blue\" (line 6); each fwmark names "
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
       {"7: [[namespace]] interfaces: \"a/b\" is no interface name (allowed: 1 to 15 of A-Z a-z "
        "0-9 _ . -, and for those of a range a * behind)"}},
      {"the external interface",
       base("interfaces = [\"wan0\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"7: [[namespace]] interfaces: wan0 is the external interface (line 2); a tenant needs its "
        "own"}},
      {"another's interface",
       base(net + "[[namespace]]\nname = \"green\"\nfwmark = 2\n" + net),
       {"12: [[namespace]] interfaces: b already belongs to namespace \"blue\" (line 7)"}},
      {"no subnet",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0\"]"),
       {"8: [[namespace]] subnets: \"10.0.0.0\" is no subnet, as in \"10.0.0.0/24\" or "
        "\"fd00::/64\""}},
      {"a long prefix",
       base("interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/33\"]"),
       {"8: [[namespace]] subnets: \"10.0.0.0/33\" is no subnet, as in \"10.0.0.0/24\" or "
        "\"fd00::/64\""}},
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
      {"a pattern in the middle",
       second("vpn", "\"5-9\"", "interfaces = [\"p*p\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"10: [[namespace]] interfaces: \"p*p\" is no interface name (allowed: 1 to 15 of A-Z a-z "
        "0-9 _ . -, and for those of a range a * behind)"}},
      {"all interfaces",
       second("vpn", "\"5-9\"", "interfaces = [\"*\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"10: [[namespace]] interfaces: \"*\" is no interface name (allowed: 1 to 15 of A-Z a-z "
        "0-9 _ . -, and for those of a range a * behind)"}},
      {"a pattern without a range",
       base("interfaces = [\"ppp*\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"7: [[namespace]] interfaces: ppp* stands for many interfaces, and namespace \"blue\" has "
        "one fwmark; a range of fwmarks has one for each"}},
      {"a pattern that matches the external interface",
       second("vpn", "\"5-9\"", "interfaces = [\"wan*\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"10: [[namespace]] interfaces: wan* matches the external interface wan0 (line 2); a tenant "
        "needs its own"}},
      {"a pattern that matches another's interface",
       second(
           "vpn", "\"5-9\"",
           "interfaces = [\"ppp*\"]\nsubnets = [\"10.0.0.0/24\"]\n[[namespace]]\nname = \"own\"\n"
           "fwmark = 2\ninterfaces = [\"ppp7\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"10: [[namespace]] interfaces: ppp* matches ppp7 of namespace \"own\" (line 15) too"}},
      {"a pattern within another",
       second("vpn", "\"5-9\"", "interfaces = [\"ppp1*\", \"ppp*\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"10: [[namespace]] interfaces: ppp* matches ppp1* of namespace \"vpn\" (line 10) too"}},
      {"a pattern twice",
       second("vpn", "\"5-9\"", "interfaces = [\"ppp*\", \"ppp*\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"10: [[namespace]] interfaces: ppp* already belongs to namespace \"vpn\" (line 10)"}},
      {"a range with interfaces and no subnets",
       second("vpn", "\"5-9\"", "interfaces = [\"ppp*\"]"),
       {"10: [[namespace]] interfaces: namespace \"vpn\" has interfaces but no subnets: every "
        "source would be dropped"}},
      {"more members than fit",
       second("vpn", "\"5-16389\"", "interfaces = [\"ppp*\"]\nsubnets = [\"10.0.0.0/24\"]"),
       {"9: [[namespace]] fwmark: 5-16389 brings the fwmarks of ranges with interfaces to 16385; "
        "at "
        "most 16384 fit"}},
      {"fwmarks of members that are no zones",
       second("vpn", "\"70000-70009\"",
              "interfaces = [\"ppp*\"]\nsubnets = [\"10.0.0.0/24\"]\n[nat]\nfwmark_mask = 0xfffff"),
       {"9: [[namespace]] fwmark: 70000-70009 is too large for a conntrack zone of each member "
        "(allowed for a range with interfaces: up to 65535)"}},
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

TEST_CASE("IPv6 in namespaces") {
  const std::string net = "interfaces = [\"b\"]\nsubnets = [\"10.0.0.0/24\", \"fd00::/64\"]\n";
  check({
      {"no subnet",
       base("interfaces = [\"b\"]\nsubnets = [\"fd00::/129\"]"),
       {"8: [[namespace]] subnets: \"fd00::/129\" is no subnet, as in \"10.0.0.0/24\" or "
        "\"fd00::/64\""}},
      {"host bits",
       base("interfaces = [\"b\"]\nsubnets = [\"fd00::1/64\"]"),
       {"8: [[namespace]] subnets: \"fd00::1/64\" has host bits set; the subnet is \"fd00::/64\""}},
      {"all addresses",
       base("interfaces = [\"b\"]\nsubnets = [\"::/0\"]"),
       {"8: [[namespace]] subnets: ::/0 contains ::/96, which no host can have; it must be hosts' "
        "own addresses"}},
      {"link-local",
       base("interfaces = [\"b\"]\nsubnets = [\"fe80::/64\"]"),
       {"8: [[namespace]] subnets: fe80::/64 contains the link-local network fe80::/10; it must be "
        "hosts' own addresses"}},
      {"overlapping",
       base("interfaces = [\"b\"]\nsubnets = [\"fd00::/64\",\n\"fd00::/48\"]"),
       {"9: [[namespace]] subnets: fd00::/48 overlaps fd00::/64 of the same namespace"}},
      {"a router outside",
       base(net + "routes = [{ to = \"fd09::/64\", via = \"fd01::1\" }]"),
       {"9: [[namespace]] routes: via fd01::1 lies in none of this namespace's subnets"}},
      {"a router on the link",
       base(net + "routes = [{ to = \"fd09::/64\", via = \"fe80::1\" }]"),
       {}},
      {"a router of the other family",
       base(net + "routes = [{ to = \"fd09::/64\", via = \"10.0.0.1\" }]"),
       {"9: [[namespace]] routes via: 10.0.0.1 and fd09::/64 are not of the same family"}},
      {"another external address",
       base("external = [\"2001:db8::9\"]"),
       {"7: [[namespace]] external: 2001:db8::9 is not among [external] addresses"}},
  });
}

// A namespace from line 7 on with these subnets and, in its last line, untranslated destinations.
std::string sender(std::string_view name, int fwmark, std::string_view subnets,
                   std::string_view untranslated) {
  return fmt::format(
      "[[namespace]]\nname = \"{0}\"\nfwmark = {1}\ninterfaces = [\"{0}\"]\nsubnets = [{2}]\n"
      "untranslated = [{3}]\n",
      name, fwmark, subnets, untranslated);
}

TEST_CASE("destinations without translation") {
  const std::string red = sender("red", 2, "\"10.0.0.0/24\"", "\"198.51.100.0/24\"");
  check({
      {"no network",
       base(sender("red", 2, "\"10.0.0.0/24\"", "\"198.51.100.1\"")),
       {"12: [[namespace]] untranslated: \"198.51.100.1\" is no subnet, as in \"10.0.0.0/24\" or "
        "\"fd00::/64\""}},
      {"all destinations",
       base(sender("red", 2, "\"10.0.0.0/24\"", "\"0.0.0.0/0\"")),
       {"12: [[namespace]] untranslated: 0.0.0.0/0 contains 0.0.0.0/8, which no host can have; it "
        "must be hosts' own addresses"}},
      {"an external address",
       base(sender("red", 2, "\"10.0.0.0/24\"", "\"203.0.113.0/24\"")),
       {"12: [[namespace]] untranslated: 203.0.113.0/24 contains the external address "
        "203.0.113.1"}},
      {"twice",
       base(sender("red", 2, "\"10.0.0.0/24\"", "\"198.51.100.0/24\", \"198.51.100.7/32\"")),
       {"12: [[namespace]] untranslated: 198.51.100.7/32 overlaps 198.51.100.0/24 of the same "
        "namespace"}},
      {"no subnets",
       base("untranslated = [\"198.51.100.0/24\"]"),
       {"7: [[namespace]] untranslated: namespace \"blue\" has no subnets of IPv4 that answers "
        "from "
        "198.51.100.0/24 could be routed to"}},
      {"no subnets of the family",
       base(sender("red", 2, "\"10.0.0.0/24\"", "\"2001:db8:9::/48\"")),
       {"12: [[namespace]] untranslated: namespace \"red\" has no subnets of IPv6 that answers "
        "from "
        "2001:db8:9::/48 could be routed to"}},
      {"the same for two",
       base(red + sender("pink", 3, "\"10.0.0.128/25\"", "\"198.51.0.0/16\"")),
       {"18: [[namespace]] untranslated: 198.51.0.0/16 overlaps 198.51.100.0/24 of namespace "
        "\"red\" (line 12), which has addresses of 10.0.0.128/25 too: answers from there could "
        "belong to both"}},
      {"the same for two by a route",
       base(red + sender("pink", 3, "\"10.1.0.0/24\"", "\"198.51.0.0/16\"") +
            "routes = [{ to = \"10.0.0.0/16\", via = \"10.1.0.1\" }]"),
       {"18: [[namespace]] untranslated: 198.51.0.0/16 overlaps 198.51.100.0/24 of namespace "
        "\"red\" (line 12), which has addresses of 10.0.0.0/16 too: answers from there could "
        "belong to both"}},
      {"others' destinations",
       base(red + sender("pink", 3, "\"10.0.0.0/24\"", "\"198.51.101.0/24\"")),
       {}},
      {"others' addresses",
       base(red + sender("pink", 3, "\"10.0.1.0/24\"", "\"198.51.100.0/24\"")),
       {}},
      {"only the other family is shared",
       base(sender("red", 2, "\"10.0.0.0/24\", \"fd00::/64\"", "\"198.51.100.0/24\"") +
            sender("pink", 3, "\"10.0.1.0/24\", \"fd00::/64\"", "\"198.51.100.0/24\"")),
       {}},
  });
}

}  // namespace
}  // namespace swnat::rules
