// Sequences that once failed, as printed by the other tests.
#include <doctest/doctest.h>

#include "tests/property/rehearsal.h"

using namespace swnat;
using namespace swnat::property;

TEST_CASE("regression: a mapping is used again after one session of it has expired") {
  Setup setup{.shards = 2};
  setup.policies.resize(1, plain_policy());
  const std::vector<Step> steps = {
      {.what = What::out},
      {.what = What::travel, .time = Time{299'999}},
      {.what = What::out, .remote = 1},
      {.what = What::travel, .time = Time{1}},
      {.what = What::in},
      {.what = What::in, .remote = 1, .remote_port = 443},
      {.what = What::out},
      {.what = What::in},
  };
  CHECK_EQ(disagreement(setup, steps), "");
}
