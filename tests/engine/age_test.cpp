// How old sessions and mappings are said to be.
#include "engine/session/age.h"

#include <doctest/doctest.h>

#include "tests/support/families.h"
#include "tests/support/listener.h"
#include "tests/support/memory_block.h"

using namespace swnat;
using namespace swnat::test;

namespace {

std::size_t listed(Gateway& gateway, const SessionPattern& pattern) {
  SessionView page[2];
  Engine::Cursor cursor;
  std::size_t all = 0;
  while (const auto count = gateway.engine.sessions(pattern, cursor, page, gateway.now)) {
    all += *count;
  }
  return all;
}

MappingView only_mapping(Gateway& gateway) {
  MappingView page[2];
  MappingCursor cursor;
  std::size_t count = 0;
  while (const auto some =
             gateway.engine.mappings({}, cursor, std::span(page).subspan(count, 1), gateway.now)) {
    count += *some;
  }
  REQUIRE_EQ(count, 1);
  return page[0];
}

// Its packets come as often as they must.
void keep_alive(Gateway& gateway, Time duration) {
  for (const Time end = gateway.now + duration; gateway.now < end;) {
    gateway.travel(std::min<Time>(2min, end - gateway.now));
    gateway.expire_all();
    REQUIRE(gateway.out(blue, udp(client, server)).accepted());
  }
}

}  // namespace

TEST_CASE_TEMPLATE("age: since the session was made, whatever its packets", F, V4, V6) {
  for (const std::uint8_t protocol : {F::icmp, protocol::tcp, protocol::udp}) {
    Gateway gateway(policy_of_both(), options_of(4));
    open<F>(gateway, protocol, blue, F::client(), F::server());
    CHECK_EQ(gateway.sessions().at(0).age, 0ms);
    gateway.travel(30s + 1ms);
    open<F>(gateway, protocol, blue, F::client(), F::server());
    gateway.travel(5s);
    REQUIRE_EQ(gateway.sessions().size(), 1);
    CHECK_EQ(gateway.sessions().at(0).age, 35s + 1ms);
    CHECK_EQ(gateway.sessions().at(0).idle, 5s);
  }
}

TEST_CASE("age: a place that another session had says nothing") {
  Gateway gateway;
  gateway.open(protocol::udp, blue, client, server);
  gateway.end_all();
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(1s);
  CHECK_EQ(gateway.sessions().at(0).age, 1s);
}

TEST_CASE("age: sessions are chosen by it, and a mapping by that of its oldest") {
  Gateway gateway(roomy_policy(), options_of(2));
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(1min);
  gateway.open(protocol::udp, blue, client, stranger);
  gateway.travel(1s);
  CHECK_EQ(listed(gateway, {.age_at_least = 1s}), 2);
  CHECK_EQ(listed(gateway, {.age_at_least = 1s + 1ms}), 1);
  CHECK_EQ(listed(gateway, {.age_at_most = 61s - 1ms}), 1);
  CHECK_EQ(listed(gateway, {.age_at_least = 62s}), 0);
  CHECK_EQ(only_mapping(gateway).age, 61s);
  MappingView page[1];
  MappingCursor cursor;
  CHECK_EQ(gateway.engine.mappings({.age_at_most = 60s}, cursor, page, gateway.now), 0);
  Engine::Cursor ended;
  CHECK_EQ(gateway.engine.end_sessions({.age_at_least = 1min}, ended, gateway.now), 1);
  CHECK_EQ(only_mapping(gateway).age, 1s);
}

TEST_CASE("age: told when a session ends") {
  Gateway gateway;
  Listener listener(gateway, {EventKind::session_ended, EventKind::session_made});
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(299s);
  gateway.open(protocol::udp, blue, client, server);
  gateway.expire_after(5min);
  const auto told = listener.take();
  REQUIRE_EQ(told.size(), 2);
  CHECK_EQ(told[0].age, 0ms);
  CHECK_GE(told[1].age, 599s);
  CHECK_LT(told[1].age, 599s + 65s);
}

TEST_CASE("age: more than session_age_max is told as that, for however long a session lives") {
  EngineOptions options = options_of(1);
  Gateway gateway(roomy_policy(), options);
  gateway.open(protocol::udp, blue, client, server);
  keep_alive(gateway, session_age_max - 1s);
  CHECK_EQ(gateway.sessions().at(0).age, session_age_max - 1s);
  // Ticks come round in between.
  for (int days = 0; days < 70; days += 5) {
    keep_alive(gateway, 24h * 5);
    CHECK_EQ(gateway.sessions().at(0).age, session_age_max);
  }
}

TEST_CASE("age: a clock that is a little behind makes no session old") {
  CHECK_EQ(age_of(1000, 999), 0);
  CHECK_EQ(age_of(0, ~Tick{0}), 0);
  CHECK_EQ(age_of(~Tick{0}, 1), 2);
  CHECK_EQ(age_of(0, age_max_ticks + 1), age_max_ticks);
}

TEST_CASE("age: outlives the engine, also one that was killed long ago") {
  const EngineOptions options = options_of(2, 1024);
  Memory memory(options);
  Policy policy = roomy_policy();
  policy.timeouts.udp = 24h * 7;
  Gateway before(policy, memory.given_to(options));
  before.open(protocol::udp, blue, client, server);
  // So long together that ticks come round.
  for (int round = 1; round <= 20; ++round) {
    Gateway after(policy, memory.given_to(options, Gateway::start + 24h * 6 * round));
    REQUIRE_EQ(after.sessions().size(), 1);
    CHECK_EQ(after.sessions().at(0).age, std::min<Time>(24h * 6 * round, session_age_max));
    CHECK_EQ(after.engine.sessions_made(), 0);
    REQUIRE(after.out(blue, udp(client, server)).accepted());
  }
}

TEST_CASE("age: is the same on another clock") {
  const EngineOptions options = options_of(1, 1024);
  Memory memory(options);
  Gateway before(roomy_policy(), memory.given_to(options));
  before.open(protocol::udp, blue, client, server);
  before.travel(4min);
  before.open(protocol::udp, blue, client, server);
  before.travel(1min);
  Memory left_behind = memory;
  EngineOptions next = left_behind.given_to(options, 5'000'000'000ms);
  next.time_epoch = options.time_epoch + 1;
  Engine::rebase_session_memory(next, roomy_policy(), before.now, *next.now);
  Gateway after(roomy_policy(), next);
  REQUIRE_EQ(after.sessions().size(), 1);
  CHECK_EQ(after.sessions().at(0).age, 5min);
}

TEST_CASE_TEMPLATE("age: sessions that were made are counted, also of each namespace", F, V4, V6) {
  Gateway gateway(policy_of_both(), options_of(4));
  for (std::uint16_t port = 1; port <= 100; ++port) {
    open<F>(gateway, protocol::udp, port % 4 == 0 ? green : blue, at(F::client(), port),
            F::server());
  }
  CHECK_EQ(gateway.engine.sessions_made(), 100);
  gateway.end_all();
  open<F>(gateway, protocol::tcp, green, F::client(), F::server());
  CHECK_EQ(gateway.engine.sessions_made(), 101);
  CHECK_EQ(gateway.use_of(blue).sessions_made, 75);
  CHECK_EQ(gateway.use_of(green).sessions_made, 26);
}
