// The chains that send packets to the queues, and the one that notes which answers are not for
// them.
#pragma once

#include <string>

#include "rules/config.h"
#include "rules/kernel.h"
#include "rules/nft_words.h"

namespace swnat::rules {

std::string nft_own_chain(const Config& config, const NftWords& word);
std::string nft_incoming_chain(const Config& config, Format format, const NftWords& word);
std::string nft_outgoing_chain(const Config& config, Format format, const NftWords& word);

}  // namespace swnat::rules
