// Who takes part: tenants' hosts, remotes and external addresses, by number.
#pragma once

#include <cstdint>
#include <string>

#include "swnat/address.h"

namespace swnat::property {

IpAddress internal_host(bool v6, std::uint8_t number);
IpAddress internal_router(bool v6);
IpAddress external_host(bool v6, std::uint8_t number);
IpAddress remote_router(bool v6);

// 0 to 9: remotes. 10 to 19: within every tenant. 20 to 23: addresses that no host has.
inline constexpr std::uint8_t first_within = 10;
inline constexpr std::uint8_t first_impossible = 20;
inline constexpr std::uint8_t impossible_count = 4;
IpAddress remote_host(bool v6, std::uint8_t number);
IpNetwork within_network(bool v6);       // of the numbers 10 to 19
IpNetwork untranslated_remote(bool v6);  // the remote 3 alone
inline constexpr std::uint8_t untranslated_number = 3;

bool is_v6(const IpAddress& address);
bool contains(const IpNetwork& network, const IpAddress& address);
std::string text(const IpAddress& address);
std::string text(const IpEndpoint& endpoint);

}  // namespace swnat::property
