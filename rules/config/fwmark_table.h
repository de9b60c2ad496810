// The route table that a namespace's fwmark leads to.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>

namespace swnat::rules {

// Far from tables that people number by hand, and below 2^31, which some programs cannot go beyond.
inline constexpr std::uint32_t first_route_table = 0x5300'0000;
inline constexpr std::uint32_t end_of_route_tables = 0x8000'0000;

constexpr bool is_route_table(std::uint32_t table) {
  return table >= first_route_table && table < end_of_route_tables;
}

// No namespace has the fwmark 0. What shares a table is in policy_route.h.
inline constexpr std::uint32_t shared_route_table = first_route_table;

// Each fwmark under the mask has a table of its own; nullopt for one whose table would not fit.
constexpr std::optional<std::uint32_t> route_table(std::uint32_t fwmark, std::uint32_t mask) {
  const std::uint32_t place = fwmark >> std::countr_zero(mask);
  if (place >= end_of_route_tables - first_route_table) return std::nullopt;
  return first_route_table + place;
}

// Of ranges whose members come and go with their interfaces. Each fwmark has `ip rule`s and routes
// from the start, which must be looked through; and is a conntrack zone, too.
inline constexpr std::uint32_t members_max = 16'384;
inline constexpr std::uint32_t member_fwmark_max = 0xffff;

// A range's fwmarks begin with the lowest bit of the mask, which is bit 0 then.
constexpr std::uint32_t member_route_table(std::uint32_t fwmark) {
  return first_route_table + fwmark;
}

constexpr std::uint32_t largest_routed_fwmark(std::uint32_t mask) {
  const std::uint64_t end = std::uint64_t{end_of_route_tables - first_route_table}
                            << std::countr_zero(mask);
  return end > mask ? mask : static_cast<std::uint32_t>((end - 1) & mask);
}

}  // namespace swnat::rules
