// The chains that set fwmarks and that let packets pass or not.
#pragma once

#include <string>

#include "rules/config.h"
#include "rules/nft_words.h"

namespace swnat::rules {

std::string nft_early_chain(const Config& config, const NftWords& word);
std::string nft_apart_chain(const Config& config, const NftWords& word);
std::string nft_guard_chain(const Config& config, const NftWords& word);

// Lets the gateway's own reports of multicast groups pass. The kernel keeps something else where
// their fwmark should be, and forwards no tenant's.
void nft_leave_own_reports(const NftWords& word, NftChain& chain);

// Matches what a tenant sends to where it gets without NAT; empty if there is nothing of that.
std::string nft_untranslated(const Config& config, const NftFamily& family);

}  // namespace swnat::rules
