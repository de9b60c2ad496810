// The same as iptables rules, in chains of their own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/config.h"

namespace swnat::rules {

// All our chains begin with this, and no other chain does.
inline constexpr std::string_view iptables_prefix = "SWNAT-";

struct IptablesChain {
  std::string name;
  std::vector<std::string> rules;  // as after "-A NAME"

  friend bool operator==(const IptablesChain&, const IptablesChain&) = default;
};

struct IptablesTable {
  std::string name;  // "raw"
  std::string hook;  // the built-in chain that jumps to our first one
  std::vector<IptablesChain> chains;

  friend bool operator==(const IptablesTable&, const IptablesTable&) = default;
};

std::vector<IptablesTable> iptables_tables(const Config& config);

// The built-in chain that our chains in a table are entered from.
struct IptablesHook {
  std::string_view table;
  std::string_view chain;
};
inline constexpr IptablesHook iptables_hooks[] = {{"raw", "PREROUTING"}, {"mangle", "POSTROUTING"}};

// As after "-A HOOK".
std::string iptables_jump(const IptablesTable& table);

}  // namespace swnat::rules
