#include "rules/nft/fwmarks.h"

namespace swnat::rules {

void NftFwmarks::give(std::string_view match, const Key& key, const std::vector<NftMarked>& all,
                      NftChain& chain) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    std::vector<std::string> elements;
    for (const NftMarked& each : all) {
      const std::uint32_t value = each.fwmark & 0xffu << shift;
      if (value == 0) continue;
      values_.insert(value);
      elements.push_back(fmt::format("{} : jump fwmark_{:#x}", each.element, value));
    }
    if (elements.empty()) continue;
    chain.rule("{}{} vmap {}", match, key.text,
               sets_.map(fmt::format("{}_{}", key.name, shift / 8), key.type + " : verdict",
                         std::move(elements)));
  }
}

std::string NftFwmarks::chains() const {
  std::string text;
  for (const std::uint32_t value : values_) {
    NftChain chain(fmt::format("fwmark_{:#x}", value));
    chain.rule("meta mark set meta mark | {:#x}", value);
    text += chain.end();
  }
  return text;
}

}  // namespace swnat::rules
