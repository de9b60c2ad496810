// The nft table: `table inet swnat`.
#pragma once

#include <string>

#include "rules/config.h"
#include "rules/kernel.h"

namespace swnat::rules {

// One transaction for `nft -f -` that leaves exactly these rules in the table, whatever was there
// before. With Format::iptables only what iptables cannot do.
std::string nft_text(const Config& config, Format format);

}  // namespace swnat::rules
