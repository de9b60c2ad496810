#include "rules/nft/member_elements.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "rules/nft/elements.h"
#include "rules/nft/fwmarks.h"
#include "rules/nft/zones.h"

namespace swnat::rules {
namespace {

// By set or map.
using ElementsOfSets = std::map<std::string, std::vector<std::string>>;

std::string change(std::string_view verb, const std::vector<MemberElement>& all) {
  ElementsOfSets sets;
  for (const auto& [interface, fwmark] : all) {
    sets["members"].push_back(fmt::format("{}", interface));
    sets["member_owners"].push_back(fmt::format("{} . {:#x}", interface, fwmark));
    sets["member_zones"].push_back(fmt::format("{} : {}", interface, member_zone(fwmark)));
    for (const FwmarkOctet& octet : octets_of(fwmark)) {
      sets[fmt::format("member_fwmarks_{}", octet.number)].push_back(
          fmt::format("{} : {}", interface, jump_to_fwmark(octet.value)));
    }
  }
  std::string text;
  for (const auto& [set, elements] : sets) {
    text +=
        fmt::format("{} element inet swnat {} {{ {} }}\n", verb, set, fmt::join(elements, ", "));
  }
  return text;
}

}  // namespace

std::string nft_add_members(const std::vector<MemberElement>& all) {
  return change("add", all);
}

std::string nft_delete_members(const std::vector<MemberElement>& all) {
  return change("delete", all);
}

std::string nft_flush_members(const std::vector<std::uint32_t>& fwmarks) {
  std::set<unsigned> numbers;
  for (const std::uint32_t fwmark : fwmarks) {
    for (const FwmarkOctet& octet : octets_of(fwmark)) numbers.insert(octet.number);
  }
  std::string text =
      "flush set inet swnat members\nflush set inet swnat member_owners\n"
      "flush map inet swnat member_zones\n";
  for (const unsigned number : numbers) {
    text += fmt::format("flush map inet swnat member_fwmarks_{}\n", number);
  }
  return text;
}

bool is_of_members(std::string_view set) {
  return set == "members" || set.starts_with("member_");
}

std::vector<unsigned> listed_members(NetlinkSocket& netfilter) {
  std::vector<unsigned> all = number_keys(netfilter, "members");
  std::ranges::sort(all);
  return all;
}

}  // namespace swnat::rules
