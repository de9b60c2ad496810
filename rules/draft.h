// A configuration between reading and checking: each value by itself is right, and knows its line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rules/config.h"
#include "rules/faults.h"

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
  std::vector<Located<IpAddress>> external;
  // The line of the key, if it is there; its values may all have been faulty.
  std::optional<std::uint32_t> interfaces_line;
  std::optional<std::uint32_t> subnets_line;
  std::optional<std::uint32_t> routes_line;
};

struct Draft {
  Config config;  // what needs no line any more; the lists below are not in it
  Located<std::string> external_interface;  // empty: missing or faulty
  std::vector<Located<IpAddress>> external_addresses;
  Located<std::uint32_t> fwmark_mask;
  std::uint32_t queue_line = 0;
  std::vector<NamespaceDraft> namespaces;
};

// What no value shows by itself: contradictions between values.
void check_draft(const Draft& draft, Faults& faults);

}  // namespace swnat::rules
