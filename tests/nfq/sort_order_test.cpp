// Sessions and mappings in order, the first of them, and how they are told.
#include "nfq/sort_order.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "nfq/error.h"
#include "nfq/view_list.h"
#include "rules/text/request_words.h"
#include "tests/support/dice.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace std::chrono_literals;
using swnat::test::Dice;

namespace {

IpEndpoint end_of(std::uint8_t last, std::uint16_t port) {
  return {Ipv4Address::of(10, 0, 0, last), port};
}

// Later by each key in its own order; packets, bytes and sessions are less.
SessionView session(std::uint8_t i) {
  static constexpr std::string_view states[] = {"active", "closing", "established"};
  return {.namespace_id = i,
          .protocol = i,
          .internal = end_of(2, i),
          .external = end_of(i, 7),
          .remote = end_of(i, 9),
          .state = states[i],
          .age = i * 1s,
          .idle = i * 1s,
          .expires_in = i * 1s,
          .traffic = {{std::uint64_t{9} - i, 90 - i * std::uint64_t{10}}, {1, 1}}};
}

MappingView mapping(std::uint8_t i) {
  return {.namespace_id = i,
          .protocol = i,
          .internal = end_of(2, i),
          .external = end_of(i, 7),
          .remote = end_of(i, 9),
          .sessions = 9u - i,
          .age = i * 1s,
          .idle = i * 1s,
          .traffic = {{1, 1}, {std::uint64_t{9} - i, 90 - i * std::uint64_t{10}}}};
}

// Tells numbers as views, and views as numbers; every other time it has none to tell.
struct Numbers {
  using View = SessionView;

  std::optional<std::size_t> next(std::span<View> views) {
    if (at == numbers.size()) return std::nullopt;
    has_none = !has_none;
    if (has_none) return 0;
    std::size_t count = 0;
    for (; count < views.size() && at < numbers.size(); ++count) {
      views[count] = {};
      views[count].namespace_id = numbers[at++];
    }
    return count;
  }
  Json json(const View& view) const { return view.namespace_id; }

  std::vector<std::uint32_t> numbers;
  std::size_t at = 0;
  bool has_none = false;
};

struct Told {
  std::vector<std::uint32_t> numbers;
  Json end;
  std::size_t most_at_once = 0;
};

Told told(const std::vector<std::uint32_t>& numbers, const ListRequest& request) {
  ViewList<Numbers> list(Numbers{numbers}, request);
  Told all;
  for (bool goes_on = true; goes_on;) {
    std::string text;
    goes_on = list.append_piece(text);
    std::size_t count = 0;
    std::istringstream lines(text);
    for (std::string one; std::getline(lines, one); ++count) {
      const Json json = Json::parse(one);
      CHECK(all.end.is_null());
      if (json.is_object()) {
        all.end = json;
      } else {
        all.numbers.push_back(json.get<std::uint32_t>());
      }
    }
    all.most_at_once = std::max(all.most_at_once, count);
  }
  return all;
}

std::vector<std::uint32_t> random_numbers(std::size_t count) {
  Dice random(3);
  std::vector<std::uint32_t> numbers;
  for (std::size_t i = 0; i < count; ++i) numbers.push_back(random.below(1'000'000));
  return numbers;
}

constexpr SortOrder by_namespace{SortKey::namespace_id};

}  // namespace

TEST_CASE("sort_order: each key is known by its name, and decides alone") {
  for (const char* name : {"age", "idle", "expires", "packets", "bytes", "state", "namespace",
                           "protocol", "internal", "external", "remote"}) {
    CAPTURE(name);
    const SortKey key = session_sort_key(name);
    // All else says the contrary.
    SessionView first = session(2);
    SessionView second = session(1);
    CHECK(SortOrder{key}.is_before(second, first));
    CHECK_FALSE(SortOrder{key}.is_before(first, second));
    CHECK(SortOrder{key, true}.is_before(first, second));
    CHECK_FALSE(SortOrder{key}.is_before(first, first));
  }
  for (const char* name : {"age", "idle", "sessions", "packets", "bytes", "namespace", "protocol",
                           "internal", "external", "remote"}) {
    CAPTURE(name);
    const SortKey key = mapping_sort_key(name);
    CHECK(SortOrder{key}.is_before(mapping(1), mapping(2)));
    CHECK(SortOrder{key, true}.is_before(mapping(2), mapping(1)));
  }
}

TEST_CASE("sort_order: a key decides before the others, and addresses are numbers") {
  SessionView early = session(1);
  SessionView late = session(0);
  early.idle = 0s;
  late.idle = 1s;
  CHECK(SortOrder{SortKey::idle}.is_before(early, late));
  early.internal = end_of(9, 5);
  late.internal = end_of(10, 4);
  CHECK(SortOrder{SortKey::internal}.is_before(early, late));
  late.internal = {Ipv6Address{}, 1};
  CHECK(SortOrder{SortKey::internal}.is_before(early, late));
}

TEST_CASE("sort_order: what cannot be sorted by is told with what can") {
  CHECK_THROWS_WITH_AS(session_sort_key("sessions"),
                       "'sessions' is nothing to sort by (allowed: age, idle, expires, packets, "
                       "bytes, state, namespace, protocol, internal, external, remote)",
                       Error);
  CHECK_THROWS_AS(mapping_sort_key("state"), Error);
  CHECK_THROWS_AS(mapping_sort_key("expires"), Error);
  CHECK_THROWS_AS(session_sort_key(""), Error);
}

TEST_CASE("view_list: without an order all are told as they are met, few at a time") {
  const auto numbers = random_numbers(1000);
  const Told all = told(numbers, {});
  CHECK((all.numbers == numbers));
  CHECK_EQ(all.end, Json{{"end", true}});
  CHECK_LE(all.most_at_once, 17);
  for (const std::size_t limit : {1u, 15u, 16u, 17u, 999u, 1000u, 5000u}) {
    CAPTURE(limit);
    const Told some = told(numbers, {.limit = limit});
    CHECK_EQ(some.numbers.size(), std::min<std::size_t>(limit, 1000));
    CHECK(std::equal(some.numbers.begin(), some.numbers.end(), numbers.begin()));
    CHECK_EQ(some.end, Json{{"end", true}});
  }
}

TEST_CASE("view_list: with an order the first are told, and of how many") {
  const auto numbers = random_numbers(10'000);
  auto sorted = numbers;
  std::ranges::sort(sorted);
  for (const std::size_t limit : {1u, 64u, 100u, 4096u}) {
    CAPTURE(limit);
    const Told first = told(numbers, {.order = by_namespace, .limit = limit});
    CHECK_EQ(first.numbers.size(), limit);
    CHECK(std::equal(first.numbers.begin(), first.numbers.end(), sorted.begin()));
    CHECK_EQ(first.end, Json{{"end", true}, {"of", 10'000}});
    CHECK_LE(first.most_at_once, 17);
    const Told last =
        told(numbers, {.order = SortOrder{SortKey::namespace_id, true}, .limit = limit});
    CHECK(std::equal(last.numbers.begin(), last.numbers.end(), sorted.rbegin()));
  }
  CHECK_EQ(told(numbers, {.order = by_namespace}).numbers.size(), ListRequest::sorted_max);
  CHECK_EQ(told({}, {.order = by_namespace}).end, Json{{"end", true}, {"of", 0}});
  CHECK_EQ(told({5, 4}, {.order = by_namespace}).numbers, std::vector<std::uint32_t>{4, 5});
}

TEST_CASE("sort order: the words that programs complete are all, and no others") {
  const auto allowed = [](SortKey (*find)(std::string_view),
                          std::span<const std::string_view> words) {
    for (const std::string_view word : words) CHECK_NOTHROW(find(word));
    return fmt::format("(allowed: {})", fmt::join(words, ", "));
  };
  const std::string of_sessions = allowed(session_sort_key, rules::session_sort_keys);
  const std::string of_mappings = allowed(mapping_sort_key, rules::mapping_sort_keys);
  CHECK_THROWS_WITH_AS(
      session_sort_key("bites"),
      ("'bites' is nothing to sort by; did you mean 'bytes'? " + of_sessions).c_str(), Error);
  CHECK_THROWS_WITH_AS(mapping_sort_key("state"),
                       ("'state' is nothing to sort by " + of_mappings).c_str(), Error);
}
