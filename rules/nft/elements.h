// The elements of our sets and maps, of which nft would need seconds to print some thousands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/system/netlink.h"

namespace swnat::rules {

// How many a set of table inet swnat has, and a digest of them in any order: keys and values,
// without what changes by itself. Throws KernelError.
std::string elements_text(NetlinkSocket& netfilter, std::string_view set);

// Its keys, which are numbers of 32 bits in this machine's byte order. Throws KernelError.
std::vector<std::uint32_t> number_keys(NetlinkSocket& netfilter, std::string_view set);

}  // namespace swnat::rules
