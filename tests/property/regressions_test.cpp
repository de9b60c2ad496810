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

TEST_CASE("regression: a FIN that proves the remote, and is out of its window, keeps the session") {
  Setup setup{};
  setup.policies.resize(1, plain_policy());
  setup.policies[0].timeouts.tcp_established = Time{10000};
  const std::vector<Step> steps = {
      {.what = What::out, .protocol = 6},
      {.what = What::in, .protocol = 6, .tcp = {.sequence = 0}},
      {.what = What::out,
       .protocol = 6,
       .tcp = {.flags = 18, .sequence = 0, .acknowledgment = 1, .window = 1}},
      {.what = What::travel, .time = Time{35388}},
      {.what = What::in, .protocol = 6, .tcp = {.flags = 17, .acknowledgment = 1}},
      {.what = What::sweep},
  };
  CHECK_EQ(disagreement(setup, steps), "");
}

TEST_CASE("regression: an expired session makes room for what finds no port") {
  Setup setup{.shards = 2};
  setup.policies.resize(1, plain_policy());
  setup.policies[0].external = {
      .v4 = {Ipv4Address::of(203, 0, 113, 1), Ipv4Address::of(203, 0, 113, 2),
             Ipv4Address::of(203, 0, 113, 3)},
      .v6 = {Ipv6Address::of({32, 1, 13, 184, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}),
             Ipv6Address::of({32, 1, 13, 184, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}),
             Ipv6Address::of({32, 1, 13, 184, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3})}};
  setup.policies[0].ports = PortRanges({{1010, 1019}, {1057, 1057}});
  setup.policies[0].timeouts.udp = Time{1000};
  setup.policies[0].namespaces = {{.first = 1, .last = 1, .session_limit = 2}};
  const std::vector<Step> steps = {
      {.what = What::out, .v6 = true, .from = {.port = 40000}},
      {.what = What::out, .from = {.port = 1001}},
      {.what = What::travel, .time = Time{64872}},
      {.what = What::out, .v6 = true, .from = {.port = 40006}},
      {.what = What::out, .from = {.port = 1001}},
  };
  CHECK_EQ(disagreement(setup, steps), "");
}

TEST_CASE("regression: what a policy ended leaves a port that an expired session is evicted from") {
  Setup setup{};
  setup.policies.resize(3, plain_policy());
  for (Policy& policy : setup.policies) {
    policy.external = {
        .v4 = {Ipv4Address::of(203, 0, 113, 1), Ipv4Address::of(203, 0, 113, 2),
               Ipv4Address::of(203, 0, 113, 3)},
        .v6 = {Ipv6Address::of({32, 1, 13, 184, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}),
               Ipv6Address::of({32, 1, 13, 184, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}),
               Ipv6Address::of({32, 1, 13, 184, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3})}};
  }
  setup.policies[0].timeouts.tcp_transitory = Time{3000};
  setup.policies[0].namespaces = {{.first = 1, .last = 1, .session_limit = 5},
                                  {.first = 2, .last = 2, .session_limit = 8}};
  const Ipv6Address third = Ipv6Address::of({32, 1, 13, 184, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4});
  setup.policies[2].namespaces = {{.first = 1, .last = 1},
                                  {.first = 2,
                                   .last = 2,
                                   .session_limit = 1,
                                   .untranslated = {Network<Ipv6Address>{third, 128}}}};
  const Internal inside{.tenant = 2, .port = 50007};
  const std::vector<Step> steps = {
      {.what = What::out, .v6 = true, .protocol = 6, .from = inside, .remote = 3},
      {.what = What::out,
       .v6 = true,
       .protocol = 6,
       .from = inside,
       .remote = 3,
       .tcp = {.sequence = 1677992032}},
      {.what = What::in,
       .v6 = true,
       .protocol = 6,
       .from = inside,
       .remote = 3,
       .tcp = {.flags = 16, .acknowledgment = 1677992033}},
      {.what = What::out, .protocol = 47, .from = {.tenant = 2, .port = 40006}, .remote = 1},
      {.what = What::out, .v6 = true, .protocol = 6, .from = inside},
      {.what = What::in, .protocol = 47, .remote = 1},
      {.what = What::travel, .time = Time{38883}},
      {.what = What::configure, .policy = 2},
      {.what = What::out, .v6 = true, .protocol = 6, .from = inside},
  };
  CHECK_EQ(disagreement(setup, steps), "");
}

TEST_CASE("regression: no session ends that is the last of a mapping which cannot be had again") {
  Setup setup{};
  setup.policies.resize(2, plain_policy());
  setup.policies[0].namespaces = {{.first = 1, .last = 1, .session_limit = 2, .port_limit = 1}};
  setup.policies[1].namespaces = {{.first = 1, .last = 1, .session_limit = 8}};
  const std::vector<Step> steps = {
      {.what = What::configure, .policy = 1},
      {.what = What::out, .v6 = true},
      {.what = What::out, .remote = 1},
      {.what = What::configure},
      {.what = What::out},
  };
  CHECK_EQ(disagreement(setup, steps), "");
}
