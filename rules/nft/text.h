// The nft table: `table inet swnat`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/wanted/format.h"
#include "rules/wanted/tenant.h"

namespace swnat::rules {

// One transaction for `nft -f -` that leaves these rules in the table, whatever was there before.
// With Format::iptables only what iptables cannot do.
std::string nft_text(const Config& config, Format format,
                     const std::vector<RemovedTenant>& removed = {});

// The chains, sets and counters that the text makes, as in "chain early".
std::vector<std::string> nft_objects(std::string_view text);

}  // namespace swnat::rules
