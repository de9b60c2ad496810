// A configuration between reading and checking: each value by itself is right, and knows its line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/config/faults.h"

namespace swnat::rules {

struct NamespaceDraft {
  std::uint32_t line = 0;
  NamespaceConfig config;  // what needs no line any more; what is below is not in it
  std::optional<Located<std::string>> name;
  std::optional<Located<NamespaceRange>> fwmark;
  std::vector<Located<std::string>> interfaces;
  std::vector<Located<IpNetwork>> subnets;
  std::vector<Located<Route>> routes;
  std::vector<Located<IpAddress>> external;
  std::vector<Located<IpNetwork>> untranslated;
  std::optional<std::uint32_t> port_block_line;  // if it has one of its own
  // The line of the key, if it is there; its values may all have been faulty.
  std::optional<std::uint32_t> interfaces_line;
  std::optional<std::uint32_t> subnets_line;
  std::optional<std::uint32_t> routes_line;
};

// A namespace by name, or all if there is none; a range's name means all of its members.
using NamespaceChoice = std::optional<Located<std::string>>;

// `rule` is what needs no line any more; what is below it is not in it.

struct DropDraft {
  DropRule rule;
  std::optional<std::uint8_t> protocol;
  NamespaceChoice namespace_name;
};

struct RedirectDraft {
  std::optional<std::uint8_t> protocol;
  std::optional<Located<IpEndpoint>> from;
  std::optional<Located<IpEndpoint>> to;
  NamespaceChoice namespace_name;
};

struct ForwardDraft {
  ForwardRule rule;
  std::optional<std::uint8_t> protocol;
  std::optional<Located<IpEndpoint>> external;
  std::optional<Located<IpEndpoint>> to;
  NamespaceChoice namespace_name;  // checked to be there and no range's
};

struct Draft {
  Config config;  // what needs no line any more; the lists below are not in it
  Located<std::string> external_interface;  // empty: missing or faulty
  std::vector<Located<IpAddress>> external_addresses;
  Located<std::uint32_t> fwmark_mask;
  NamespacePolicy limits;  // of namespaces without limits of their own
  std::optional<std::uint32_t> port_block_line;
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
