#include "engine/base/shares.h"

#include <doctest/doctest.h>

#include <array>
#include <set>

#include "tests/support/dice.h"
#include "tests/support/naive_shares.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// Shares and what they promise, side by side.
class Both {
 public:
  Both(std::uint32_t items, const ShareLimits& limits) : shares_(items, limits), naive_(limits) {
    for (Shares::Item item = 0; item < items; ++item) free_.insert(item);
  }

  std::size_t count() const { return naive_.count(); }

  void add(std::uint64_t owner, std::uint32_t which) {
    const Shares::Item displaced = shares_.displaced_by(owner);
    REQUIRE_EQ(displaced, naive_.displaced_by(owner).value_or(Shares::none));
    if (displaced != Shares::none) remove(displaced);
    REQUIRE_EQ(shares_.displaced_by(owner), Shares::none);
    const auto chosen = std::next(free_.begin(), static_cast<std::ptrdiff_t>(which % free_.size()));
    shares_.add(*chosen, owner);
    naive_.add(*chosen, owner);
    free_.erase(chosen);
  }
  void remove(Shares::Item item) {
    shares_.remove(item);
    naive_.remove(item);
    free_.insert(item);
  }
  void remove_any(std::uint32_t which) { remove(naive_.at(which % count())); }
  void renew_any(std::uint32_t which) {
    const Shares::Item item = naive_.at(which % count());
    shares_.renew(item);
    naive_.renew(item);
  }

  void check(std::uint64_t owner) const {
    REQUIRE_EQ(shares_.count(), naive_.count());
    REQUIRE_EQ(shares_.count(owner), naive_.count(owner));
    REQUIRE_EQ(shares_.oldest(), naive_.oldest().value_or(Shares::none));
    REQUIRE_EQ(shares_.oldest(owner), naive_.oldest(owner).value_or(Shares::none));
  }

 private:
  Shares shares_;
  NaiveShares<Shares::Item> naive_;
  std::set<Shares::Item> free_;
};

}  // namespace

TEST_CASE("shares: random additions, removals and renewals agree with plain containers") {
  constexpr ShareLimits limits[] = {{1, 1}, {7, 1}, {20, 5}, {20, 20}, {20, 100}, {64, 3}};
  for (const ShareLimits& limit : limits) {
    CAPTURE(limit.all);
    CAPTURE(limit.each);
    for (const std::uint32_t owners : {1U, 3U, 12U, 100U}) {
      CAPTURE(owners);
      Dice random(limit.all * 1000 + owners);
      Both both(limit.all + 3, limit);
      for (int step = 0; step < 4000; ++step) {
        // Some owners are greedy.
        const std::uint64_t owner = random.below(random.one_in(2) ? owners : (owners + 3) / 4);
        const std::uint32_t dice = random.below(8);
        if (dice < 5 || both.count() == 0) {
          both.add(owner, random());
        } else if (dice < 6) {
          both.remove_any(random());
        } else {
          both.renew_any(random());
        }
        both.check(owner);
      }
    }
  }
}

TEST_CASE("shares: who has as many as the newcomer or less loses nothing to it") {
  Shares shares(12, {.all = 12, .each = 10});
  Shares::Item next = 0;
  for (int i = 0; i < 4; ++i) shares.add(next++, 1);
  for (int i = 0; i < 4; ++i) shares.add(next++, 2);
  for (int i = 0; i < 4; ++i) shares.add(next++, 3);
  CHECK_EQ(shares.displaced_by(1), 0);
  CHECK_EQ(shares.displaced_by(2), 4);
  CHECK_EQ(shares.displaced_by(3), 8);
  // A newcomer gets room from the first of those that have most, then from the next.
  CHECK_EQ(shares.displaced_by(4), 0);
  shares.remove(0);
  shares.add(0, 4);
  CHECK_EQ(shares.displaced_by(4), 4);
}

TEST_CASE("shares: owners come and go beyond the number that fit at once") {
  Shares shares(2, {.all = 2, .each = 1});
  for (std::uint64_t owner = 0; owner < 1000; ++owner) {
    shares.add(0, owner);
    shares.add(1, owner << 32 | 0xffff);
    CHECK_EQ(shares.oldest(owner), 0);
    shares.remove(0);
    shares.remove(1);
    CHECK_EQ(shares.count(owner), 0);
  }
  CHECK_EQ(shares.oldest(), Shares::none);
}
