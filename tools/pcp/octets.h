// Numbers and addresses as PCP and NAT-PMP have them on the wire: network byte order, and addresses
// in 16 octets, those of IPv4 mapped into IPv6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "swnat/address.h"

namespace swnat::pcp {

using Octets = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

// `at` and what is read behind it must be within the bytes.
std::uint16_t read_16(View bytes, std::size_t at);
std::uint32_t read_32(View bytes, std::size_t at);
// "::ffff:0.0.0.0" is the IPv4 address 0.0.0.0.
IpAddress read_address(View bytes, std::size_t at);

void append_16(Octets& bytes, std::uint32_t value);
void append_32(Octets& bytes, std::uint32_t value);
void append_address(Octets& bytes, const IpAddress& address);

// 0.0.0.0 or ::, by which a client says that it wants none in particular.
bool is_unspecified(const IpAddress& address);

}  // namespace swnat::pcp
