#include "nfq/list_request.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "nfq/error.h"

using namespace swnat;
using namespace swnat::nfq;
using Json = nlohmann::ordered_json;

namespace {

ListRequest read(const Json& request) {
  // As it comes: a number without a sign is another kind in a parsed text.
  return requested_list(Json::parse(request.dump()), rules::Config{}, session_sort_key);
}

}  // namespace

TEST_CASE("list_request: an order, a limit, and what is meant") {
  const ListRequest none = read({{"command", "sessions"}});
  CHECK_FALSE(none.order.has_value());
  CHECK_FALSE(none.limit.has_value());
  const ListRequest all =
      read({{"sort", "bytes"}, {"reverse", true}, {"limit", 7}, {"protocol", "udp"}});
  REQUIRE(all.order.has_value());
  CHECK_EQ(all.order->key, SortKey::bytes);
  CHECK(all.order->is_reversed);
  CHECK_EQ(all.limit, 7);
  CHECK_EQ(all.pattern.protocol, 17);
  CHECK_EQ(read({{"limit", 1'000'000}}).limit, 1'000'000);
}

TEST_CASE("list_request: what is wrong is said with what is allowed") {
  const Json wrongs[] = {
      {{"sort", 1}},    {{"sort", "size"}},  {{"sort", "idle"}, {"reverse", "yes"}},
      {{"limit", 0}},   {{"limit", -1}},     {{"limit", "5"}},
      {{"limit", 1.5}}, {{"reverse", true}}, {{"limit", nullptr}},
  };
  for (const Json& wrong : wrongs) {
    CAPTURE(wrong.dump());
    CHECK_THROWS_AS(read(wrong), Error);
  }
  CHECK_THROWS_WITH_AS(read({{"sort", "idle"}, {"limit", 4097}}),
                       "4097 are more than can be sorted (allowed: a limit of 1 to 4096)", Error);
  CHECK_THROWS_WITH_AS(read({{"limit", 0}}), "'limit' must be a number from 1 on", Error);
}
