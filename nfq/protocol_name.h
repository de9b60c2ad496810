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

// Whether its packets name ends within an address: ports, or the ids of echo requests.
bool has_ports(std::uint8_t number);
// Whether whoever is asked has a port too, which an id is not.
bool has_remote_ports(std::uint8_t number);

}  // namespace swnat::nfq
