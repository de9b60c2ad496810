// The chains behind the queues: what becomes of packets that the NAT has translated, and of those
// that it has not.
#pragma once

#include <string>
#include <vector>

#include "rules/config/config.h"
#include "rules/nft/fwmarks.h"
#include "rules/nft/words.h"
#include "rules/wanted/format.h"

namespace swnat::rules {

std::string nft_translated_chain(const Config& config, const NftWords& word);
std::string nft_arriving_chain(const Config& config, const NftWords& word);
std::string nft_answers_chain(const Config& config, const NftWords& word, NftFwmarks& fwmarks);
std::string nft_apart_chain(const Config& config, const NftWords& word);
std::string nft_guard_chain(const Config& config, Format format, const NftWords& word,
                            NftSets& sets);

}  // namespace swnat::rules
