// Overlaps found by order are those that comparing each with each finds.
#include "rules/config/network_order.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "tests/support/dice.h"

namespace swnat::rules {
namespace {

using test::Dice;

std::vector<IpNetwork> random_networks(Dice& random) {
  std::vector<IpNetwork> all;
  for (unsigned i = 1 + random.below(8); i > 0; --i) {
    const unsigned bits = random.below(16);
    const std::string text = random.below(4) == 0
                                 ? fmt::format("fd00:{:x}::/{}", bits << 12, 16 + random.below(5))
                                 : fmt::format("10.{}.0.0/{}", bits << 4, 8 + random.below(5));
    all.push_back(parse_network(text).value());
  }
  return all;
}

TEST_CASE("overlaps in a list") {
  Dice random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::vector<IpNetwork> networks = random_networks(random);
    std::vector<std::size_t> expected;
    for (std::size_t later = 0; later < networks.size(); ++later) {
      for (std::size_t earlier = 0; earlier < later; ++earlier) {
        if (!overlap(networks[later], networks[earlier])) continue;
        expected.push_back(later);
        break;
      }
    }
    std::vector<std::size_t> found;
    for (const Overlap& each : overlaps(networks)) {
      found.push_back(each.later);
      CHECK(each.earlier < each.later);
      CHECK(overlap(networks[each.later], networks[each.earlier]));
    }
    REQUIRE(found == expected);
  }
}

TEST_CASE("a disjoint set of the same addresses") {
  Dice random(2);
  for (int i = 0; i < 2000; ++i) {
    const std::vector<IpNetwork> networks = random_networks(random);
    DisjointNetworks<int> set;
    for (const IpNetwork& each : disjoint(networks)) {
      REQUIRE(set.overlapping(each) == nullptr);
      set.insert(each, 0);
    }
    for (const IpNetwork& each : networks) {
      const auto* around = set.overlapping(each);
      REQUIRE(around != nullptr);
      CHECK(contains(around->network, address_of(each)));
      CHECK(length_of(around->network) <= length_of(each));
    }
    for (const IpNetwork& each : random_networks(random)) {
      const bool expected = std::any_of(networks.begin(), networks.end(),
                                        [&](const auto& other) { return overlap(other, each); });
      CHECK((set.overlapping(each) != nullptr) == expected);
    }
  }
}

}  // namespace
}  // namespace swnat::rules
