// Addresses, endpoints and networks of both families as people write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "swnat/address.h"

namespace swnat {

// "203.0.113.1", and as RFC 5952 has it "2001:db8::1".
std::string to_text(const IpAddress& address);
// "203.0.113.1:80", "[2001:db8::1]:80".
std::string to_text(const IpEndpoint& endpoint);
// "10.0.0.0/24", "fd00::/64".
std::string to_text(const IpNetwork& network);

// Exactly four decimal numbers with dots between, or RFC 4291 text without a zone; nullopt for
// anything else.
std::optional<IpAddress> parse_address(std::string_view text);
// An address of IPv4, or one of IPv6 in brackets, then ":" and a port from 1 to 65535.
std::optional<IpEndpoint> parse_endpoint(std::string_view text);
// An address, "/" and a length. Bits beyond the length are taken for zero.
std::optional<IpNetwork> parse_network(std::string_view text);

}  // namespace swnat
