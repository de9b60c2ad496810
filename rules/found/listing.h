// Our rules as the kernel lists them: what two lists can be compared by.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "rules/wanted/family.h"

namespace swnat::rules {

// Each part by what it is called in a message ("chain early of nft table inet swnat"), with its
// text. The text has nothing that changes by itself: no counters, and no elements of sets that
// packets fill.
using Listing = std::map<std::string, std::string>;

struct RuleListing {
  Listing nft;       // empty: there is no table of ours
  Listing iptables;  // our chains, and for each hook the jumps to them

  friend bool operator==(const RuleListing&, const RuleListing&) = default;
};

// Both ask the kernel, and throw KernelError. That iptables cannot be asked is only an error where
// rules of it are expected.
Listing list_nft_rules();
Listing list_iptables_rules(bool are_expected);
// Whether iptables works on top of nft here, so that its rules have nft's generation.
bool is_iptables_in_nft();

// Asks the kernel as seldom as it can.
class RuleLister {
 public:
  // Forgets what was listed, unless the kernel's nftables rules are of the same generation.
  void begin(std::optional<std::uint32_t> generation);
  RuleListing list(bool expects_iptables);

 private:
  std::optional<std::uint32_t> generation_;
  std::optional<Listing> nft_;
  std::optional<Listing> iptables_;  // only where iptables works on top of nft
  bool expected_iptables_ = false;
};

// From what `nft -s -n -t list ruleset inet` prints, which has no elements of named sets. Tables of
// others are left out.
Listing nft_listing(std::string_view printed);
// From what iptables-save prints.
Listing iptables_listing(std::string_view printed, Family family);

}  // namespace swnat::rules
