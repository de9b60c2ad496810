// The address families: the kernel is told everything for each of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/config/networks.h"

namespace swnat::rules {

enum class Family : std::uint8_t { ipv4, ipv6 };
inline constexpr Family all_families[] = {Family::ipv4, Family::ipv6};

// Of an address or a network.
template <class Value>
constexpr Family family_of(const Value& value) {
  return is_ipv6(value) ? Family::ipv6 : Family::ipv4;
}

// The addresses or networks of one family, as text.
template <class Value>
std::vector<std::string> texts(const std::vector<Value>& all, Family family) {
  std::vector<std::string> some;
  for (const Value& each : all) {
    if (family_of(each) == family) some.push_back(to_text(each));
  }
  return some;
}

// "-4" or "-6", as programs of iproute2 are told.
std::string_view ip_option(Family family);

// Whether the NAT has an external address of the family. Without one its packets do not leave.
bool is_translated(const Config& config, Family family);

// Whether the configuration has anything of the family.
bool is_used(const Config& config, Family family);

}  // namespace swnat::rules
