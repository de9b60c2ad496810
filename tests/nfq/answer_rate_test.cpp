#include "nfq/answer_rate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>

#include "tests/support/dice.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;
using namespace std::chrono_literals;

TEST_CASE("answer rate: so many to a namespace and to all in a second, then again") {
  AnswerRate rate({.all = 5, .each = 2});
  const Time start{1000};
  CHECK(rate.take(1, start));
  CHECK(rate.take(1, start + 400ms));
  CHECK_FALSE(rate.take(1, start + 999ms));
  CHECK(rate.take(2, start + 999ms));
  CHECK(rate.take(1, start + 1000ms));
  CHECK_FALSE(rate.take(1, start + 1399ms));
  CHECK(rate.take(1, start + 1400ms));
  CHECK(rate.take(3, start + 1400ms));
  CHECK(rate.take(4, start + 1400ms));
  CHECK_FALSE(rate.take(5, start + 1400ms));  // five in the last second
  CHECK_FALSE(rate.take(5, start + 1998ms));
  CHECK(rate.take(5, start + 1999ms));
  CHECK(rate.take(1, start + 1h));
}

TEST_CASE("answer rate: agrees with a list of what was sent, over many namespaces") {
  constexpr ShareLimits limits{.all = 40, .each = 6};
  struct Sent {
    NamespaceId to;
    Time at;
  };
  Dice random(3);
  AnswerRate rate(limits);
  std::deque<Sent> sent;
  Time now{0};
  std::uint32_t refused = 0;
  for (int round = 0; round < 100'000; ++round) {
    now += Time(random.below(30));
    if (random.one_in(500)) now += 2s;
    const NamespaceId id = random.one_in(3) ? 1 : 1 + random.below(60);
    while (!sent.empty() && now - sent.front().at >= 1s) sent.pop_front();
    const auto own = std::ranges::count(sent, id, &Sent::to);
    const bool may = sent.size() < limits.all && own < limits.each;
    REQUIRE_EQ(rate.take(id, now), may);
    if (may) sent.push_back({id, now});
    if (!may) ++refused;
  }
  CHECK_GT(refused, 1000u);
}
