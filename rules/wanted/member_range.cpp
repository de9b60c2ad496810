#include "rules/wanted/member_range.h"

#include <algorithm>

#include "rules/config/network_order.h"
#include "rules/wanted/family.h"

namespace swnat::rules {
namespace {

bool is_matched(std::string_view pattern, std::string_view interface) {
  if (!pattern.ends_with('*')) return pattern == interface;
  pattern.remove_suffix(1);
  return interface.starts_with(pattern);
}

}  // namespace

bool MemberRange::matches(std::string_view interface) const {
  return std::ranges::any_of(
      patterns, [&](const std::string& pattern) { return is_matched(pattern, interface); });
}

bool MemberRange::has(std::uint32_t fwmark) const {
  return std::ranges::any_of(fwmarks, [&](const NamespaceRange& piece) {
    return piece.first <= fwmark && fwmark <= piece.last;
  });
}

std::vector<MemberRange> member_ranges(const Config& config) {
  std::vector<MemberRange> all;
  for (const NamespaceConfig& each : config.namespaces) {
    if (each.members.empty()) continue;
    MemberRange range{
        each.name, each.members, {}, disjoint(each.subnets), is_used(config, Family::ipv4)};
    for (const NamespacePiece& piece : namespace_pieces(config)) {
      if (piece.config == &each) range.fwmarks.push_back({piece.first, piece.last});
    }
    all.push_back(std::move(range));
  }
  return all;
}

std::vector<std::uint32_t> member_fwmarks(const std::vector<MemberRange>& ranges) {
  std::vector<std::uint32_t> all;
  for (const MemberRange& range : ranges) {
    for (const NamespaceRange& piece : range.fwmarks) {
      for (std::uint32_t fwmark = piece.first; fwmark <= piece.last; ++fwmark) {
        all.push_back(fwmark);
      }
    }
  }
  std::ranges::sort(all);
  return all;
}

const MemberRange* range_matching(const std::vector<MemberRange>& ranges,
                                  std::string_view interface) {
  const auto found = std::ranges::find_if(
      ranges, [&](const MemberRange& range) { return range.matches(interface); });
  return found == ranges.end() ? nullptr : &*found;
}

}  // namespace swnat::rules
