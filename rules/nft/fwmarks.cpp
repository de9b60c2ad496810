#include "rules/nft/fwmarks.h"

#include <array>

namespace swnat::rules {
namespace {

constexpr unsigned octet_count = 4;

}  // namespace

std::vector<FwmarkOctet> octets_of(std::uint32_t fwmark) {
  std::vector<FwmarkOctet> all;
  for (unsigned number = 0; number < octet_count; ++number) {
    const std::uint32_t value = fwmark & 0xffu << 8 * number;
    if (value != 0) all.push_back({number, value});
  }
  return all;
}

std::string jump_to_fwmark(std::uint32_t value) {
  return fmt::format("jump fwmark_{:#x}", value);
}

void NftFwmarks::give(std::string_view match, const Key& key, const std::vector<NftMarked>& all,
                      NftChain& chain) {
  std::array<std::vector<std::string>, octet_count> elements;
  for (const NftMarked& each : all) {
    for (const FwmarkOctet& octet : octets_of(each.fwmark)) {
      values_.insert(octet.value);
      elements[octet.number].push_back(
          fmt::format("{} : {}", each.element, jump_to_fwmark(octet.value)));
    }
  }
  for (unsigned number = 0; number < octet_count; ++number) {
    if (elements[number].empty()) continue;
    chain.rule("{}{} vmap {}", match, key.text,
               sets_.map(fmt::format("{}_{}", key.name, number), key.type + " : verdict",
                         std::move(elements[number])));
  }
}

void NftFwmarks::give_later(const Key& key, const std::vector<std::uint32_t>& fwmarks,
                            NftChain& chain) {
  std::set<unsigned> numbers;
  for (const std::uint32_t fwmark : fwmarks) {
    for (const FwmarkOctet& octet : octets_of(fwmark)) {
      values_.insert(octet.value);
      numbers.insert(octet.number);
    }
  }
  for (const unsigned number : numbers) {
    chain.rule("{} vmap {}", key.text,
               sets_.map(fmt::format("{}_{}", key.name, number), key.type + " : verdict", {}));
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
