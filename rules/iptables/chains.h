// Tables and chains of iptables and ip6tables, and what ours are called.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/wanted/family.h"

namespace swnat::rules {

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

// All our chains begin with this, and no other chain does.
inline constexpr std::string_view iptables_prefix = "SWNAT-";

namespace iptables_chain {

// What the built-in chains jump to.
inline constexpr std::string_view in = "SWNAT-IN";
inline constexpr std::string_view departing = "SWNAT-DEPARTING";
inline constexpr std::string_view out = "SWNAT-OUT";
// What came in: from outside, from a tenant, from a network of the gateway's own.
inline constexpr std::string_view outside = "SWNAT-OUTSIDE";
inline constexpr std::string_view by_namespace = "SWNAT-NAMESPACE";
inline constexpr std::string_view tenant = "SWNAT-TENANT";
inline constexpr std::string_view hairpin = "SWNAT-HAIRPIN";
inline constexpr std::string_view redirect = "SWNAT-REDIRECT-";  // and its number
inline constexpr std::string_view elsewhere = "SWNAT-ELSEWHERE";
inline constexpr std::string_view other = "SWNAT-OTHER";  // without ports
// What the gateway sends to itself.
inline constexpr std::string_view to_itself = "SWNAT-TO-ITSELF";
inline constexpr std::string_view its_port = "SWNAT-ITS-PORT";
inline constexpr std::string_view its_error = "SWNAT-ITS-ERROR";
// What leaves.
inline constexpr std::string_view by_sender = "SWNAT-SENDER";
inline constexpr std::string_view outbound = "SWNAT-OUTBOUND";
// To the queue that these bits of the packet name.
inline constexpr std::string_view from_port = "SWNAT-FROM-PORT";
inline constexpr std::string_view to_port = "SWNAT-TO-PORT";
inline constexpr std::string_view from_id = "SWNAT-FROM-ID";
inline constexpr std::string_view to_id = "SWNAT-TO-ID";
inline constexpr std::string_view fragment = "SWNAT-FRAGMENT";

}  // namespace iptables_chain

// A built-in chain, and the chain of ours that its last rule jumps to: so the operator's own rules,
// made before, count.
struct IptablesHook {
  std::string_view table;
  std::string_view chain;
  std::string_view entry;
};
inline constexpr IptablesHook iptables_hooks[] = {
    {"raw", "PREROUTING", iptables_chain::in},
    {"raw", "OUTPUT", iptables_chain::departing},
    {"mangle", "POSTROUTING", iptables_chain::out},
};
inline constexpr std::string_view iptables_table_names[] = {"raw", "mangle"};

// "iptables" or "ip6tables", with what follows as in "iptables-save".
std::string iptables_program(Family family, std::string_view suffix = "");

}  // namespace swnat::rules
