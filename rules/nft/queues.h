// The chains that send packets to the queues. With iptables they tell its rules, which do that,
// what only nft can find out.
#pragma once

#include <string>

#include "rules/config/config.h"
#include "rules/nft/words.h"
#include "rules/wanted/endpoint_rules.h"
#include "rules/wanted/format.h"

namespace swnat::rules {

std::string nft_telling_chain(const Config& config, Format format, const NftWords& word);
std::string nft_incoming_chain(const Config& config, Format format, const NftWords& word);
std::string nft_departing_chain(const Config& config, Format format, const NftWords& word);
std::string nft_leaving_chain(const Config& config, Format format, const NftWords& word,
                              NftSets& sets);
std::string nft_outgoing_chain(const Config& config, Format format, const NftWords& word,
                               NftSets& sets);

// What becomes of the gateway's own reports of multicast groups. The kernel keeps something else
// where their fwmark should be, and forwards no tenant's.
void nft_own_reports(std::string_view then, NftChain& chain);

// Elements of a set of protocol, address and port.
std::string nft_endpoint_set(const std::vector<ProtocolEndpoint>& endpoints);

}  // namespace swnat::rules
