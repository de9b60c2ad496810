// The chains that packets meet first: whose they are, and whether that may be.
#pragma once

#include <string>
#include <vector>

#include "rules/config/config.h"
#include "rules/nft/fwmarks.h"
#include "rules/nft/words.h"

namespace swnat::rules {

std::string nft_early_chain(const Config& config, const NftWords& word,
                            const std::vector<RemovedTenant>& removed, NftFwmarks& fwmarks);

// Drops what a tenant with interfaces may not send from, by its fwmark.
std::string nft_own_source_chain(const NftWords& word, NftSets& sets);

// The same for namespaces without interfaces, as far as packets show it.
void nft_check_unplaced_sources(const Config& config, const NftWords& word, NftChain& chain);

// Matches of what a tenant sends to where it gets without NAT.
std::vector<std::string> nft_untranslated(const NftWords& word, const NftFamily& family,
                                          NftSets& sets);

}  // namespace swnat::rules
