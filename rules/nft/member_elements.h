// What a member of a range has in the sets and maps of the nft table, as nft takes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/system/netlink.h"

namespace swnat::rules {

struct MemberElement {
  unsigned interface = 0;  // by which the kernel knows it
  std::uint32_t fwmark = 0;
};

// Adds the elements of these members, or takes them away; nothing for none of them.
std::string nft_add_members(const std::vector<MemberElement>& all);
std::string nft_delete_members(const std::vector<MemberElement>& all);
// Takes all members' away, of those sets and maps that ranges with these fwmarks have.
std::string nft_flush_members(const std::vector<std::uint32_t>& fwmarks);

// Whether a set or map has elements of members, which are not in the text of `up`.
bool is_of_members(std::string_view set);

// The numbers of the interfaces that are members now. Throws KernelError.
std::vector<unsigned> listed_members(NetlinkSocket& netfilter);

}  // namespace swnat::rules
