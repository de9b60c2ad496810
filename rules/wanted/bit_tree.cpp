#include "rules/wanted/bit_tree.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace swnat::rules {
namespace {

constexpr unsigned step = 4;  // bits; bit_list_max children at most

unsigned digit(const BitString& bits, unsigned depth) {
  const unsigned octet = bits.octets[depth / 8];
  return depth % 8 == 0 ? octet >> step : octet & 0xf;
}

BitString first_bits(BitString bits, unsigned length) {
  for (unsigned bit = length; bit < bits.octets.size() * 8; ++bit) {
    bits.octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> bit % 8));
  }
  bits.length = length;
  return bits;
}

// Sorted, and all of them alike in the first `depth` bits.
BitNode node(std::span<const BitString> all, unsigned depth) {
  BitNode result{first_bits(all.front(), depth), {}, {}};
  if (all.size() <= bit_list_max) {
    result.leaves.assign(all.begin(), all.end());
    return result;
  }
  for (std::size_t first = 0; first < all.size();) {
    const BitString& one = all[first];
    if (one.length < depth + step) {
      result.leaves.push_back(one);
      ++first;
      continue;
    }
    std::size_t last = first;
    while (last < all.size() && all[last].length >= depth + step &&
           digit(all[last], depth) == digit(one, depth)) {
      ++last;
    }
    if (last == first + 1) {
      result.leaves.push_back(one);
    } else {
      result.children.push_back(node(all.subspan(first, last - first), depth + step));
    }
    first = last;
  }
  // Where all go on alike there is nothing to choose between.
  if (result.leaves.empty() && result.children.size() == 1) {
    BitNode only = std::move(result.children.front());
    return only;
  }
  return result;
}

}  // namespace

BitString bits_of(std::uint32_t fwmark) {
  BitString bits{{}, 32};
  for (unsigned i = 0; i < 4; ++i)
    bits.octets[i] = static_cast<std::uint8_t>(fwmark >> (24 - 8 * i));
  return bits;
}

BitString bits_of(const IpNetwork& network) {
  return std::visit(
      [](const auto& one) {
        BitString bits{{}, one.length};
        std::memcpy(bits.octets.data(), &one.address, sizeof one.address);
        return bits;
      },
      network);
}

IpNetwork network_of(const BitString& bits, Family family) {
  const auto length = static_cast<std::uint8_t>(bits.length);
  if (family == Family::ipv6) return Network<Ipv6Address>{Ipv6Address::of(bits.octets), length};
  return Network<Ipv4Address>{Ipv4Address::from_host(number_of(bits)), length};
}

bool holds(const BitString& wide, const BitString& other) {
  BitString cut = other;
  for (unsigned bit = wide.length; bit < other.length; ++bit) {
    cut.octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> bit % 8));
  }
  cut.length = wide.length;
  return wide.length <= other.length && cut == wide;
}

std::uint32_t number_of(const BitString& bits) {
  std::uint32_t number = 0;
  for (unsigned i = 0; i < 4; ++i) number = number << 8 | bits.octets[i];
  return number;
}

BitNode bit_tree(std::vector<BitString> all) {
  if (all.empty()) return {};
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return node(all, 0);
}

}  // namespace swnat::rules
