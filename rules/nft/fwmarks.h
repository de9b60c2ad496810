// Giving packets the fwmarks of what they match, in a number of steps that does not grow with the
// namespaces.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rules/nft/words.h"

namespace swnat::rules {

// What a packet may match, and the fwmark that it gets then.
struct NftMarked {
  std::string element;
  std::uint32_t fwmark;
};

// Theory of operation
//
// A map from element to fwmark would replace the bits that are not ours too. So there is a chain
// for each value of each of the four octets, which sets its bits and no other, and a map from
// element to chain for each octet. Octets that are zero need neither.
struct FwmarkOctet {
  unsigned number = 0;      // from the lowest
  std::uint32_t value = 0;  // its bits of the fwmark
};
// Those that are not zero.
std::vector<FwmarkOctet> octets_of(std::uint32_t fwmark);
// Of an element of the map of an octet: "jump fwmark_0x300".
std::string jump_to_fwmark(std::uint32_t value);

class NftFwmarks {
 public:
  explicit NftFwmarks(NftSets& sets) : sets_(sets) {}

  // Adds rules that give the fwmarks to what has none, and count on the bits being zero.
  struct Key {
    std::string name;  // of the maps, and an octet's number behind it
    std::string type;  // as in "typeof ip saddr"
    std::string text;  // what the elements stand for
  };
  void give(std::string_view match, const Key& key, const std::vector<NftMarked>& all,
            NftChain& chain);

  // The same for members that get one of these fwmarks when they come: rules, chains and empty
  // maps.
  void give_later(const Key& key, const std::vector<std::uint32_t>& fwmarks, NftChain& chain);

  // The chains that the rules jump to.
  std::string chains() const;

 private:
  NftSets& sets_;
  std::set<std::uint32_t> values_;
};

}  // namespace swnat::rules
