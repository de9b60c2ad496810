// What the protocol in an IP header is called, and what its packets have.
#pragma once

#include <cstdint>

#include "rules/text/protocol_name.h"

namespace swnat::nfq {

using rules::protocol_name;
using rules::protocol_number;

bool has_ports(std::uint8_t number);
// Whether its packets name ends within an address: ports, or the ids of echo requests, which only
// whoever asks has.
bool has_ports_or_ids(std::uint8_t number);

}  // namespace swnat::nfq
