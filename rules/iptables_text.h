// The same as rules for iptables and ip6tables, in chains of their own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/config.h"
#include "rules/family.h"

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
  std::string hook;  // the built-in chain that jumps to our first one
  std::vector<IptablesChain> chains;

  friend bool operator==(const IptablesTable&, const IptablesTable&) = default;
};

// Of the families that the NAT translates.
std::vector<IptablesTable> iptables_tables(const Config& config);

// The built-in chain that our chains in a table are entered from.
struct IptablesHook {
  Family family;
  std::string_view table;
  std::string_view chain;
};
inline constexpr IptablesHook iptables_hooks[] = {
    {Family::ipv4, "raw", "PREROUTING"},
    {Family::ipv4, "mangle", "POSTROUTING"},
    {Family::ipv6, "raw", "PREROUTING"},
    {Family::ipv6, "mangle", "POSTROUTING"},
};

// As after "-A HOOK".
std::string iptables_jump(const IptablesTable& table);

// "iptables" or "ip6tables", with what follows as in "iptables-save".
std::string iptables_program(Family family, std::string_view suffix = "");

}  // namespace swnat::rules
