// Which interface has which fwmark of a range, and the book of it as a file.
#include "rules/kernel/member_book.h"

#include <doctest/doctest.h>

#include "rules/kernel/member_store.h"

namespace swnat::rules {
namespace {

std::vector<MemberRange> one_range() {
  return {{.name = "pppoe",
           .patterns = {"ppp*", "tun7"},
           .fwmarks = {{10, 11}, {13, 13}},
           .subnets = {}}};
}

// By number, in the order in which they came.
MemberLinks named(const std::vector<std::pair<unsigned, std::string>>& all) {
  MemberLinks links;
  for (const auto& [number, name] : all) links[number] = {name, true, true};
  return links;
}

MemberChange follow(const MemberLinks& links, MemberBook& book) {
  return follow_links(one_range(), links, Sessions::can_end, book);
}

TEST_CASE("members: who matches gets the lowest fwmark that nobody had, older interfaces first") {
  MemberBook book;
  const auto change = follow(named({{7, "ppp5"}, {3, "tun7"}, {4, "tun70"}, {9, "eth0"}}), book);
  CHECK(change.came == std::vector<std::uint32_t>{10, 11});
  CHECK(book[10].interface == "tun7");
  CHECK(book[11].interface == "ppp5");
  CHECK(book[11].number == 7);
  CHECK(change.reused.empty());
  CHECK(follow(named({{7, "ppp5"}, {3, "tun7"}}), book).came.empty());
}

TEST_CASE("members: a name has its fwmark again, after its sessions ended") {
  MemberBook book;
  follow(named({{1, "ppp0"}, {2, "ppp1"}}), book);
  const auto gone = follow(named({{2, "ppp1"}}), book);
  REQUIRE(gone.went.size() == 1);
  CHECK(gone.went[0].second.number == 1);
  CHECK(book[10].has_sessions);
  const auto back = follow(named({{2, "ppp1"}, {8, "ppp0"}}), book);
  CHECK(back.came == std::vector<std::uint32_t>{10});
  CHECK(back.reused == std::vector<std::uint32_t>{10});
}

TEST_CASE("members: another interface with the same name is another one") {
  MemberBook book;
  follow(named({{1, "ppp0"}}), book);
  const auto change = follow(named({{2, "ppp0"}}), book);
  CHECK(change.went.size() == 1);
  CHECK(change.reused == std::vector<std::uint32_t>{10});
  CHECK(book[10].number == 2);
}

TEST_CASE("members: without somebody who ends sessions no fwmark with any is given") {
  MemberBook book;
  const auto quietly = [&](const MemberLinks& links) {
    return follow_links(one_range(), links, Sessions::cannot_end, book);
  };
  quietly(named({{1, "ppp0"}}));
  const auto change = quietly(named({{2, "ppp0"}}));
  CHECK(change.came == std::vector<std::uint32_t>{11});
  CHECK(book[10].has_sessions);
  book[10].has_sessions = false;
  CHECK(quietly(named({{2, "ppp0"}, {3, "ppp7"}, {4, "ppp8"}})).came ==
        std::vector<std::uint32_t>{13, 10});
}

TEST_CASE("members: who finds no fwmark waits, and gets that of who went first") {
  MemberBook book;
  follow(named({{1, "ppp1"}, {2, "ppp2"}, {3, "ppp3"}}), book);
  auto change =
      follow(named({{1, "ppp1"}, {2, "ppp2"}, {3, "ppp3"}, {4, "ppp4"}, {5, "ppp5"}}), book);
  CHECK(change.waiting.at("pppoe") == 2);
  follow(named({{1, "ppp1"}, {3, "ppp3"}}), book);
  follow(named({{3, "ppp3"}}), book);
  // The name comes before the order, for who has one here.
  change = follow(named({{3, "ppp3"}, {6, "ppp6"}, {7, "ppp1"}}), book);
  CHECK(book[11].interface == "ppp6");
  CHECK(book[10].interface == "ppp1");
  CHECK(change.waiting.empty());
}

TEST_CASE("members: a new name ends it, as does a range that is not there any more") {
  MemberBook book;
  follow(named({{1, "ppp0"}, {2, "ppp1"}}), book);
  CHECK(follow(named({{1, "lan0"}, {2, "ppp1"}}), book).went.size() == 1);
  CHECK(follow_links({}, named({{2, "ppp1"}}), Sessions::can_end, book).went.size() == 1);
}

TEST_CASE("members: the book is the same from its file, and of another boot it does not count") {
  const RecordOrigin here{"boot", 7};
  MemberBook book;
  book[10] = {.interface = "ppp0", .number = 4};
  book[10].originals = {{"rp_filter", "0"}};
  book[11] = {.interface = "ppp1", .has_sessions = true, .gone = 3};
  const std::string text = to_text(book, here);
  CHECK(book_in(text, here) == book);
  CHECK(book_in(text, {"other", 7}).empty());
  CHECK(book_in(text, {"boot", 8}).empty());
  CHECK(book_in("", here).empty());
  CHECK(book_in(text + "nonsense\n", here).empty());
}

}  // namespace
}  // namespace swnat::rules
