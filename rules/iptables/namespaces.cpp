#include "rules/iptables/namespaces.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>

#include "rules/iptables/words.h"
#include "rules/wanted/bit_tree.h"
#include "rules/wanted/tenant.h"

namespace swnat::rules {
namespace {

// A range is cut into pieces that one mask each can tell.
std::vector<BitString> pieces_of(const NamespaceRange& range) {
  std::vector<BitString> all;
  const std::uint64_t end = std::uint64_t{range.last} + 1;
  for (std::uint64_t first = range.first; first < end;) {
    std::uint64_t size = first & -first;
    if (size == 0) size = std::uint64_t{1} << 32;
    while (first + size > end) size /= 2;
    BitString piece = bits_of(static_cast<std::uint32_t>(first));
    piece.length = 32 - static_cast<unsigned>(std::countr_zero(size));
    all.push_back(piece);
    first += size;
  }
  return all;
}

std::string piece_match(const BitString& piece, std::uint32_t mask) {
  const std::uint32_t first = piece.length == 0 ? 0 : ~std::uint32_t{0} << (32 - piece.length);
  return fmt::format("-m mark --mark {:#x}/{:#x}", number_of(piece), mask & first);
}

void add_node(std::vector<IptablesChain>& chains, const BitNode& node, const std::string& name,
              std::string_view target, std::uint32_t mask) {
  const std::size_t place = chains.size();
  chains.push_back({name, {}});
  for (const BitString& leaf : node.leaves) {
    chains[place].rules.push_back(fmt::format("{} -g {}", piece_match(leaf, mask), target));
  }
  for (const BitNode& child : node.children) {
    const std::string below = fmt::format("{}-{:x}", name, number_of(child.prefix));
    chains[place].rules.push_back(fmt::format("{} -g {}", piece_match(child.prefix, mask), below));
    add_node(chains, child, below, target, mask);
  }
}

}  // namespace

void iptables_add_namespaces(std::vector<IptablesChain>& chains, const Config& config,
                             std::string_view name, std::string_view target) {
  std::vector<BitString> all;
  for (const NamespaceRange& range : namespace_ranges(config)) {
    for (const BitString& piece : pieces_of(range)) all.push_back(piece);
  }
  add_node(chains, bit_tree(std::move(all)), std::string(name), target, config.fwmark_mask);
}

std::vector<std::string> iptables_range(const Config& config, const NamespaceRange& range) {
  if (range.first <= 1 && range.last >= config.fwmark_mask) {
    return {iptables_fwmark(config, "! --mark 0x0")};
  }
  std::vector<std::string> all;
  for (const BitString& piece : pieces_of(range)) {
    all.push_back(piece_match(piece, config.fwmark_mask));
  }
  return all;
}

}  // namespace swnat::rules
