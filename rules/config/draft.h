// A configuration between reading and checking: each value by itself is right, and knows its line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/config/faults.h"

namespace swnat::rules {

struct FwmarkRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};

struct NamespaceDraft {
  std::uint32_t line = 0;
  std::optional<Located<std::string>> name;
  std::optional<Located<FwmarkRange>> fwmark;
  std::vector<Located<std::string>> interfaces;
  std::vector<Located<IpNetwork>> subnets;
  std::vector<Located<Route>> routes;
  std::optional<Located<std::uint32_t>> session_limit;
  std::optional<Located<std::uint32_t>> port_limit;
  std::optional<Located<std::uint32_t>> port_block;
  std::vector<Located<IpAddress>> external;
  std::vector<Located<IpNetwork>> untranslated;
  // The line of the key, if it is there; its values may all have been faulty.
  std::optional<std::uint32_t> interfaces_line;
  std::optional<std::uint32_t> subnets_line;
  std::optional<std::uint32_t> routes_line;
};

// A namespace by name, or all if there is none; a range's name means all of its members.
using NamespaceChoice = std::optional<Located<std::string>>;

struct DropDraft {
  std::optional<std::uint8_t> protocol;
  PortRange ports{1, 65535};
  NamespaceChoice namespace_name;
};

struct RedirectDraft {
  std::optional<std::uint8_t> protocol;
  std::optional<Located<IpEndpoint>> from;
  std::optional<Located<IpEndpoint>> to;
  NamespaceChoice namespace_name;
};

struct ForwardDraft {
  std::optional<std::uint8_t> protocol;
  std::optional<Located<IpEndpoint>> external;
  std::optional<Located<IpEndpoint>> to;
  NamespaceChoice namespace_name;  // checked to be there and no range's
  std::optional<Located<std::uint32_t>> session_limit;
};

struct Draft {
  Config config;  // what needs no line any more; the lists below are not in it
  Located<std::string> external_interface;  // empty: missing or faulty
  std::vector<Located<IpAddress>> external_addresses;
  Located<std::uint32_t> fwmark_mask;
  std::optional<Located<std::uint32_t>> port_block;
  std::uint32_t queue_line = 0;
  std::vector<NamespaceDraft> namespaces;
  std::vector<DropDraft> drops;
  std::vector<RedirectDraft> redirects;
  std::vector<ForwardDraft> forwards;
};

// What no value shows by itself: contradictions between values.
void check_draft(const Draft& draft, Faults& faults);

// Parts of it: of the destinations that namespaces reach untranslated, and of [[drop]],
// [[redirect]] and [[forward]].
void check_untranslated(const Draft& draft, Faults& faults);
void check_rules(const Draft& draft, Faults& faults);

}  // namespace swnat::rules
