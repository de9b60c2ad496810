// Listing sessions.
#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>

#include "tests/support/dice.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

using Key = std::tuple<NamespaceId, std::uint16_t, std::uint16_t>;

Key key_of(const SessionView& view) {
  return {view.namespace_id, view.internal.port, view.external.port};
}

}  // namespace

TEST_CASE("sessions: a view says all of a session") {
  for (const std::uint8_t protocol : all_protocols) {
    Gateway gateway(roomy_policy(), options_of(4));
    const Peer external = gateway.open(protocol, green, client, server);
    gateway.travel(1234ms);
    const auto sessions = gateway.sessions();
    REQUIRE_EQ(sessions.size(), 1);
    const SessionView& view = sessions[0];
    CHECK_EQ(view.namespace_id, green);
    CHECK_EQ(view.protocol, protocol);
    CHECK_EQ(view.internal, client);
    CHECK_EQ(view.external, external);
    CHECK_EQ(view.remote, protocol == protocol::icmp ? at(server, 0) : server);
    CHECK_EQ(view.idle, 1234ms);
    CHECK_FALSE(view.state.empty());
    CHECK_GT(view.expires_in, 0ms);
  }
}

TEST_CASE("sessions: pages of any size show every session once") {
  for (const std::uint32_t shards : {1U, 8U, 64U}) {
    Gateway gateway(roomy_policy(), options_of(shards));
    std::set<Key> wanted;
    for (std::uint16_t port = 1000; port < 1500; ++port) {
      const Peer external = gateway.open(protocol::udp, blue, at(client, port), server);
      wanted.insert({blue, port, external.port});
    }
    for (const std::size_t page_size : {1U, 3U, 64U, 500U, 1000U}) {
      std::vector<SessionView> page(page_size);
      std::set<Key> seen;
      std::size_t shown = 0;
      Engine::Cursor cursor;
      while (const auto count = gateway.engine.sessions(cursor, page, gateway.now)) {
        REQUIRE_LE(*count, page_size);
        shown += *count;
        for (std::size_t i = 0; i < *count; ++i) seen.insert(key_of(page[i]));
      }
      CHECK_EQ(shown, 500);
      CHECK((seen == wanted));
      // The end stays the end.
      CHECK_FALSE(gateway.engine.sessions(cursor, page, gateway.now));
    }
  }
}

TEST_CASE("sessions: a call looks at a few hundred records, whether it finds any or not") {
  for (const bool are_gone : {false, true}) {
    Gateway gateway(roomy_policy(), options_of(2, 8192));
    constexpr int count = 6000;
    for (int i = 0; i < count; ++i) {
      gateway.open(protocol::udp, blue, at(client, static_cast<std::uint16_t>(1000 + i)), server);
    }
    if (are_gone) gateway.end_all();
    const SessionPattern nobody{.namespaces = {{green, green}}};
    SessionView page[3];
    Engine::Cursor cursor;
    int calls = 0;
    for (; const auto some = gateway.engine.sessions(nobody, cursor, page, gateway.now); ++calls) {
      CHECK_EQ(*some, 0);
    }
    CHECK_GE(calls, count / 256);
    MappingView mappings[3];
    MappingCursor mapping_cursor;
    calls = 0;
    for (; const auto some = gateway.engine.mappings(nobody, mapping_cursor, mappings, gateway.now);
         ++calls) {
      CHECK_EQ(*some, 0);
    }
    CHECK_GE(calls, count / 256);
  }
}

TEST_CASE("sessions: there must be room for what is listed") {
  const Gateway gateway;
  Engine::Cursor cursor;
  MappingCursor mapping_cursor;
  CHECK_THROWS_AS(gateway.engine.sessions(cursor, {}, gateway.now), std::invalid_argument);
  CHECK_THROWS_AS(gateway.engine.mappings({}, mapping_cursor, {}, gateway.now),
                  std::invalid_argument);
}

TEST_CASE("sessions: none are shown where there are none, and expired ones are not shown") {
  Gateway gateway(roomy_policy(), options_of(8));
  CHECK(gateway.sessions().empty());
  gateway.open(protocol::icmp, blue, client, server);
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(61s);
  REQUIRE_EQ(gateway.sessions().size(), 1);
  CHECK_EQ(gateway.sessions()[0].protocol, protocol::udp);
}

TEST_CASE("sessions: gaps of any length are no end") {
  Gateway gateway(roomy_policy(), options_of(2, 8192));
  for (std::uint32_t i = 0; i < 6000; ++i) {
    gateway.open(protocol::udp, blue, at(client, static_cast<std::uint16_t>(1000 + i)), server);
    if (i == 2999) gateway.travel(200s);
  }
  gateway.travel(101s);  // the first half is over
  gateway.expire_all();
  gateway.travel(2s);
  gateway.expire_all();
  CHECK_EQ(gateway.engine.session_count(), 3000);
  CHECK_EQ(gateway.sessions().size(), 3000);
}

TEST_CASE("sessions: what lives all the while is shown once, whatever else comes and goes") {
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = 300, .external = {}},
                       {.first = green, .last = green, .session_limit = 50, .external = {}}};
  Gateway gateway(policy, options_of(4));
  Dice random(5);
  // Blue's stay; green's evict each other all the time.
  for (std::uint16_t i = 0; i < 200; ++i) {
    gateway.open(protocol::udp, blue, at(client, static_cast<std::uint16_t>(1000 + i)), server);
    gateway.open(protocol::udp, green, at(client, static_cast<std::uint16_t>(1000 + i)), server);
  }
  for (int round = 0; round < 20; ++round) {
    std::map<std::uint16_t, int> shown;
    SessionView page[5];
    Engine::Cursor cursor;
    while (const auto count = gateway.engine.sessions(cursor, page, gateway.now)) {
      for (std::size_t i = 0; i < *count; ++i) {
        if (page[i].namespace_id == blue) ++shown[page[i].internal.port];
      }
      gateway.travel(1ms);
      for (int i = 0; i < 5; ++i) {
        gateway.open(protocol::tcp, green, at(client, random.word() | 1), server);
      }
    }
    REQUIRE_EQ(shown.size(), 200);
    for (const auto& [port, times] : shown) REQUIRE_EQ(times, 1);
  }
}

TEST_CASE("sessions: counts agree with what is shown") {
  Gateway gateway(roomy_policy(), options_of(4));
  Dice random(6);
  for (int i = 0; i < 500; ++i) {
    gateway.open(all_protocols[random.below(3)], 1 + random.below(5), at(client, random.word() | 1),
                 server);
  }
  std::map<NamespaceId, std::uint32_t> shown;
  for (const SessionView& view : gateway.sessions()) ++shown[view.namespace_id];
  std::uint64_t total = 0;
  for (const NamespaceUse& use : gateway.engine.namespaces()) {
    CHECK_EQ(use.sessions, shown[use.id]);
    total += use.sessions;
  }
  CHECK_EQ(gateway.engine.session_count(), total);
  CHECK_EQ(gateway.sessions().size(), total);
}
