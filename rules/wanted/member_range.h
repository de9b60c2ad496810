// A range of fwmarks whose members come and go with their interfaces.
//
// Theory of operation
//
// What follows from a fwmark alone is the same whoever is the member, so it is in the plan of `up`
// for each fwmark of the range: its `ip rule`s, its route table with what is unreachable, the
// sources that it may use, its zone. What follows from the interface is a few elements of sets, a
// route for each subnet and three sysctls, and comes and goes with it (kernel/member_book.h). The
// elements have the interface's number, which the kernel gives to no other one: whoever comes next
// with the same name is nobody until it is made a member itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"

namespace swnat::rules {

struct MemberRange {
  std::string name;
  // Of interfaces; with a * behind it the beginning of names.
  std::vector<std::string> patterns;
  // Those that are no namespace of their own: sorted, apart.
  std::vector<NamespaceRange> fwmarks;
  std::vector<IpNetwork> subnets;  // of each member
  bool has_ipv4 = false;           // whether the configuration has anything of it

  bool matches(std::string_view interface) const;
  bool has(std::uint32_t fwmark) const;

  friend bool operator==(const MemberRange&, const MemberRange&) = default;
};

std::vector<MemberRange> member_ranges(const Config& config);

// All fwmarks of all of them, sorted.
std::vector<std::uint32_t> member_fwmarks(const std::vector<MemberRange>& ranges);

// Null if there is none.
const MemberRange* range_matching(const std::vector<MemberRange>& ranges,
                                  std::string_view interface);

}  // namespace swnat::rules
