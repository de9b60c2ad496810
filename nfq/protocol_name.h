// What people call the protocol in an IP header.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swnat::nfq {

// "tcp", "icmpv6", "gre"; the number as text where it has no name that many know.
std::string protocol_name(std::uint8_t number);
// Of such a name, or a number as text.
std::optional<std::uint8_t> protocol_number(std::string_view text);

bool has_ports(std::uint8_t number);
// Whether its packets name ends within an address: ports, or the ids of echo requests, which only
// whoever asks has.
bool has_ports_or_ids(std::uint8_t number);

}  // namespace swnat::nfq
