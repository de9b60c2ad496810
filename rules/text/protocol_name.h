// What people call the protocol in an IP header.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace swnat::rules {

// "tcp", "icmpv6", "gre"; the number as text where it has no name that many know.
std::string protocol_name(std::uint8_t number);
// Of such a name, or a number as text.
std::optional<std::uint8_t> protocol_number(std::string_view text);

// All names that protocol_number() knows.
std::vector<std::string_view> protocol_names();

// What to write, for people who wrote something else.
inline constexpr std::string_view allowed_protocols =
    "tcp, udp, icmp of either family, icmpv6, …, or a number";

}  // namespace swnat::rules
