// What sends packets to the queues, as rules for iptables and ip6tables, in chains of their own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/wanted/family.h"

namespace swnat::rules {

// All our chains begin with this, and no other chain does.
inline constexpr std::string_view iptables_prefix = "SWNAT-";

struct IptablesChain {
  std::string name;
  std::vector<std::string> rules;  // as after "-A NAME"

  friend bool operator==(const IptablesChain&, const IptablesChain&) = default;
};

struct IptablesTable {
  Family family = Family::ipv4;
  std::string name;  // "raw"
  std::vector<IptablesChain> chains;

  friend bool operator==(const IptablesTable&, const IptablesTable&) = default;
};

// Of the families that the NAT translates.
std::vector<IptablesTable> iptables_tables(const Config& config);

// A built-in chain, and the chain of ours that its last rule jumps to: so the operator's own rules,
// made before, count.
struct IptablesHook {
  std::string_view table;
  std::string_view chain;
  std::string_view entry;
};
inline constexpr IptablesHook iptables_hooks[] = {
    {"raw", "PREROUTING", "SWNAT-IN"},
    {"raw", "OUTPUT", "SWNAT-DEPARTING"},
    {"mangle", "POSTROUTING", "SWNAT-OUT"},
};
inline constexpr std::string_view iptables_table_names[] = {"raw", "mangle"};

// "iptables" or "ip6tables", with what follows as in "iptables-save".
std::string iptables_program(Family family, std::string_view suffix = "");

}  // namespace swnat::rules
