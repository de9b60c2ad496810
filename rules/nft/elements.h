// The elements of our sets and maps, of which nft would need seconds to print some thousands.
#pragma once

#include <string>
#include <string_view>

#include "rules/system/netlink.h"

namespace swnat::rules {

// How many a set of table inet swnat has, and a digest of them in any order: keys and values,
// without what changes by itself. Throws KernelError.
std::string elements_text(NetlinkSocket& netfilter, std::string_view set);

}  // namespace swnat::rules
