// Destinations that namespaces reach untranslated: exactly those are refused whose answers could
// belong to two of them, and many namespaces are no more work than their number.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "rules/config/networks.h"
#include "tests/rules/faulty_file.h"
#include "tests/support/dice.h"

namespace swnat::rules {
namespace {

using test::Dice;

struct Namespace {
  std::vector<IpNetwork> subnets;
  std::vector<IpNetwork> untranslated;
};

std::string list(const std::vector<IpNetwork>& networks) {
  std::string text;
  for (const IpNetwork& each : networks) text += fmt::format("\"{}\", ", to_text(each));
  return text;
}

// Each namespace has six lines; the first begins in line 4.
std::string text_of(const std::vector<Namespace>& namespaces) {
  std::string text =
      "[external]\ninterface = \"wan0\"\naddresses = [\"203.0.113.1\", \"2001:db8::1\"]\n";
  int number = 0;
  for (const Namespace& each : namespaces) {
    ++number;
    text += fmt::format(
        "[[namespace]]\nname = \"n{0}\"\nfwmark = {0}\ninterfaces = [\"n{0}\"]\nsubnets = [{1}]\n"
        "untranslated = [{2}]\n",
        number, list(each.subnets), list(each.untranslated));
  }
  return text;
}

bool overlap_any(const std::vector<IpNetwork>& networks, const IpNetwork& one) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const auto& other) { return overlap(other, one); });
}

std::vector<IpNetwork> random_disjoint(Dice& random, unsigned base) {
  std::vector<IpNetwork> all;
  for (unsigned i = 1 + random.below(3); i > 0; --i) {
    const auto one = parse_network(
        fmt::format("{}.{}.0.0/{}", base, (random.below(16)) << 4, 9 + random.below(4)));
    if (!overlap_any(all, *one)) all.push_back(*one);
  }
  return all;
}

// Whether answers from `to` could belong to both.
bool conflict(const Namespace& one, const IpNetwork& to, const Namespace& other) {
  return overlap_any(other.untranslated, to) &&
         std::any_of(one.subnets.begin(), one.subnets.end(),
                     [&](const auto& subnet) { return overlap_any(other.subnets, subnet); });
}

TEST_CASE("what comparing each with each finds is found, and nothing else") {
  Dice random(1);
  int faulty = 0;
  for (int i = 0; i < 600; ++i) {
    std::vector<Namespace> namespaces(2 + random.below(3));
    for (Namespace& each : namespaces) {
      each = {random_disjoint(random, 10), random_disjoint(random, 11)};
    }
    bool expected = false;
    std::vector<std::string> possible;
    for (std::size_t later = 0; later < namespaces.size(); ++later) {
      for (const IpNetwork& to : namespaces[later].untranslated) {
        for (std::size_t earlier = 0; earlier < later; ++earlier) {
          if (!conflict(namespaces[later], to, namespaces[earlier])) continue;
          expected = true;
          possible.push_back(fmt::format("{}: [[namespace]] untranslated: {} overlaps",
                                         9 + later * 6, to_text(to)));
        }
      }
    }
    const std::string text = text_of(namespaces);
    INFO(text);
    const auto found = faults(text);
    REQUIRE(found.empty() != expected);
    faulty += expected ? 1 : 0;
    for (const std::string& each : found) {
      CHECK(std::any_of(possible.begin(), possible.end(),
                        [&](const auto& start) { return each.starts_with(start); }));
    }
  }
  CHECK(faulty > 100);
  CHECK(faulty < 500);
}

// Work that grows with the square of their number would not end in the test's time.
TEST_CASE("many namespaces") {
  constexpr unsigned many = 30'000;
  std::vector<Namespace> same_sources(many);
  std::vector<Namespace> same_destination(many);
  for (unsigned i = 0; i < many; ++i) {
    const IpNetwork own = parse_network(fmt::format("10.{}.{}.0/24", i / 256, i % 256)).value();
    same_sources[i] = {{parse_network("172.16.0.0/16").value()}, {own}};
    same_destination[i] = {{own}, {parse_network("172.16.0.0/16").value()}};
  }
  for (auto* const all : {&same_sources, &same_destination}) {
    all->back() = all->front();
    const auto found = faults(text_of(*all));
    REQUIRE(found.size() == 1);
    CHECK(found[0].find("overlaps") != std::string::npos);
    CHECK(found[0].find("\"n1\" (line 9)") != std::string::npos);
  }
}

}  // namespace
}  // namespace swnat::rules
