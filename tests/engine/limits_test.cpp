// Session limits, and which session has to go.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <vector>

#include "tests/support/dice.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Policy limited(std::uint32_t limit, AtLimit at_limit = AtLimit::evict_oldest) {
  Policy policy = roomy_policy();
  policy.at_limit = at_limit;
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = limit, .external = {}},
                       {.first = green, .last = 40, .session_limit = limit, .external = {}}};
  return policy;
}

// A session by what its tenant knows of it.
struct Known {
  std::uint8_t protocol;
  Peer internal;
  Peer remote;
  Time last_active;

  std::tuple<std::uint8_t, std::uint32_t, std::uint16_t, std::uint32_t, std::uint16_t> key() const {
    return {protocol, internal.address.host(), internal.port, remote.address.host(), remote.port};
  }
};

using Keys = std::set<decltype(Known{}.key())>;

Keys keys_of(const std::vector<Known>& known) {
  Keys keys;
  for (const Known& session : known) keys.insert(session.key());
  return keys;
}

Keys sessions_of(Gateway& gateway, NamespaceId id) {
  Keys keys;
  for (const SessionView& view : gateway.sessions()) {
    if (view.namespace_id != id) continue;
    keys.insert(Known{view.protocol, peer_of(view.internal), peer_of(view.remote), 0ms}.key());
  }
  return keys;
}

Known any_session(Dice& random, Time now) {
  const std::uint8_t protocol = all_protocols[random.below(3)];
  const auto remote_port = static_cast<std::uint16_t>(443 + random.below(3));
  const bool is_echo = protocol == protocol::icmp;
  return {protocol, at(client, static_cast<std::uint16_t>(1000 + random.below(60))),
          at(server, is_echo ? std::uint16_t{0} : remote_port), now};
}

// What a tenant's sessions must be, packet after packet.
class Model {
 public:
  explicit Model(std::size_t limit) : limit_(limit) {}

  void sent(const Known& session) {
    const auto same = std::find_if(sessions.begin(), sessions.end(), [&](const Known& other) {
      return other.key() == session.key();
    });
    if (same != sessions.end()) {
      same->last_active = session.last_active;
      return;
    }
    if (sessions.size() == limit_) sessions.erase(oldest());
    sessions.push_back(session);
  }

  std::vector<Known>::iterator oldest() {
    return std::min_element(sessions.begin(), sessions.end(), [](const Known& a, const Known& b) {
      return a.last_active < b.last_active;
    });
  }

  std::vector<Known> sessions;

 private:
  std::size_t limit_;
};

}  // namespace

TEST_CASE("limits: all protocols together") {
  Gateway gateway(limited(3));
  for (const std::uint8_t protocol : all_protocols) {
    gateway.open(protocol, blue, client, server);
    gateway.travel(1ms);
  }
  CHECK_EQ(gateway.session_count(blue), 3);
  gateway.open(protocol::udp, blue, client, at(server, 81));
  CHECK_EQ(gateway.session_count(blue), 3);
  // The first one was ICMP's.
  for (const SessionView& view : gateway.sessions()) CHECK_NE(view.protocol, protocol::icmp);
}

TEST_CASE("limits: exactly the least recently active session is evicted, over all shards") {
  for (const std::uint32_t shards : {1U, 2U, 8U, 64U}) {
    CAPTURE(shards);
    constexpr std::uint32_t limit = 25;
    Gateway gateway(limited(limit), options_of(shards));
    Model model(limit);
    Dice random(shards);
    for (int i = 0; i < 3000; ++i) {
      gateway.travel(1ms);
      const Known session = any_session(random, gateway.now);
      gateway.open(session.protocol, blue, session.internal, session.remote);
      model.sent(session);
      REQUIRE_EQ(gateway.session_count(blue), model.sessions.size());
      if (i % 10 == 0) REQUIRE((sessions_of(gateway, blue) == keys_of(model.sessions)));
    }
    CHECK_EQ(gateway.engine.session_count(), limit);
  }
}

TEST_CASE("limits: inbound traffic makes a session recently active too") {
  Gateway gateway(limited(2));
  const Peer first = gateway.open(protocol::udp, blue, client, server);
  gateway.travel(1s);
  gateway.open(protocol::udp, blue, at(client, 40002), server);
  gateway.travel(1s);
  REQUIRE(gateway.answers(protocol::udp, server, first, blue, client));
  gateway.travel(1s);
  gateway.open(protocol::udp, blue, at(client, 40004), server);
  CHECK(gateway.answers(protocol::udp, server, first, blue, client));
}

TEST_CASE("limits: a session that is active for a month is not taken for the oldest") {
  Policy policy = limited(2);
  policy.timeouts.udp = max_timeout;
  Gateway gateway(policy);
  const Peer steady = gateway.open(protocol::udp, blue, client, server);
  for (int days = 1; days <= 26; ++days) {
    gateway.travel(24h);
    REQUIRE(gateway.answers(protocol::udp, server, steady, blue, client));
    if (days == 20) gateway.open(protocol::udp, blue, at(client, 40002), server);
    gateway.expire_all();
  }
  gateway.open(protocol::udp, blue, at(client, 40004), server);
  CHECK(gateway.answers(protocol::udp, server, steady, blue, client));
}

TEST_CASE("limits: one tenant's limit is no other's") {
  Gateway gateway(limited(5), options_of(4));
  for (NamespaceId id = blue; id <= 40; ++id) {
    for (std::uint16_t i = 0; i < 9; ++i) {
      gateway.open(protocol::udp, id, at(client, static_cast<std::uint16_t>(1000 + i)), server);
      gateway.travel(1ms);
    }
  }
  for (const NamespaceUse& use : gateway.engine.namespaces()) CHECK_EQ(use.sessions, 5);
  CHECK_EQ(gateway.engine.session_count(), 200);
}

TEST_CASE("limits: rfc6888_req11 refuse drops the new session and keeps the old ones") {
  Gateway gateway(limited(3, AtLimit::refuse), options_of(2));
  std::vector<Peer> externals;
  for (std::uint16_t port = 1000; port < 1003; ++port) {
    externals.push_back(gateway.open(protocol::tcp, blue, at(client, port), server));
  }
  for (const std::uint8_t protocol : all_protocols) {
    const Bytes packet = opening(protocol, at(client, 2000), server);
    const Outcome sent = gateway.out(blue, packet);
    CHECK_EQ(sent.reason, Reason::session_limit);
    CHECK_EQ(sent.bytes, packet);
  }
  for (std::uint16_t i = 0; i < 3; ++i) {
    const auto port = static_cast<std::uint16_t>(1000 + i);
    CHECK_EQ(gateway.open(protocol::tcp, blue, at(client, port), server), externals[i]);
  }
  gateway.open(protocol::tcp, green, client, server);
}

TEST_CASE("limits: refused no more when a session is over") {
  Gateway gateway(limited(1, AtLimit::refuse), options_of(2));
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(5min + 1ms);
  gateway.expire_all();
  gateway.travel(1s);
  gateway.expire_all();
  gateway.open(protocol::udp, blue, at(client, 40002), server);
}

TEST_CASE("limits: a packet from outside never evicts") {
  for (const AtLimit at_limit : {AtLimit::evict_oldest, AtLimit::refuse}) {
    Policy policy = limited(2, at_limit);
    policy.filtering = Filtering::endpoint_independent;
    Gateway gateway(policy);
    const Peer external = gateway.open(protocol::udp, blue, client, server);
    gateway.open(protocol::udp, blue, at(client, 40002), server);
    const Keys before = sessions_of(gateway, blue);
    const Bytes packet = udp({Host::of(192, 0, 2, 99), 53}, external, payload_of(5));
    const Outcome received = gateway.in(packet);
    CHECK_EQ(received.reason, Reason::session_limit);
    CHECK_EQ(received.bytes, packet);
    CHECK((sessions_of(gateway, blue) == before));
    CHECK(gateway.answers(protocol::udp, server, external, blue, client));
  }
}

TEST_CASE("limits: sessions that are over count too, and make room even where others do not") {
  for (const std::uint32_t shards : {1U, 4U}) {
    Gateway gateway(limited(3, AtLimit::refuse), options_of(shards));
    gateway.open(protocol::tcp, blue, at(client, 1006), server);
    for (const std::uint16_t port : {std::uint16_t{1000}, std::uint16_t{1002}}) {
      const Peer internal = at(client, port);
      const Peer external = gateway.open(protocol::tcp, blue, internal, server);
      REQUIRE(gateway.answers(protocol::tcp, server, external, blue, internal));
      REQUIRE(gateway.in(tcp(server, external, {.flags = 0x04, .sequence = 5001})).accepted());
      gateway.travel(1ms);
    }
    CHECK_EQ(gateway.session_count(blue), 3);
    gateway.open(protocol::tcp, blue, at(client, 1004), server);
    gateway.open(protocol::udp, blue, at(client, 1004), server);
    CHECK_EQ(gateway.session_count(blue), 3);
    for (const SessionView& view : gateway.sessions()) CHECK_NE(view.state, "reset");
    CHECK_EQ(gateway.out(blue, tcp(at(client, 1008), server)).reason, Reason::session_limit);
  }
}

TEST_CASE("limits: what is over goes first, then what nobody answered, then the least active") {
  for (const std::uint32_t shards : {1U, 4U}) {
    CAPTURE(shards);
    Gateway gateway(limited(6), options_of(shards));
    const auto port = [&](int number) { return at(client, static_cast<std::uint16_t>(number)); };
    const auto answered = [&](std::uint8_t protocol, int number) {
      const Peer external = gateway.open(protocol, blue, port(number), server);
      REQUIRE(gateway.answers(protocol, server, external, blue, port(number)));
      gateway.travel(1ms);
      return external;
    };
    answered(protocol::udp, 1000);
    answered(protocol::tcp, 1002);
    gateway.open(protocol::udp, blue, port(1004), server);
    gateway.travel(1ms);
    gateway.open(protocol::tcp, blue, port(1006), server);
    gateway.travel(1ms);
    for (const int number : {1008, 1010}) {
      const Peer external = answered(protocol::tcp, number);
      REQUIRE(gateway.in(tcp(server, external, {.flags = 0x04, .sequence = 5001})).accepted());
      gateway.travel(1ms);
    }
    const auto is_there = [&](int number) {
      const auto views = gateway.sessions();
      return std::ranges::any_of(
          views, [&](const SessionView& view) { return view.internal.port == number; });
    };
    int next = 2000;
    for (const int number : {1008, 1010, 1004, 1006, 1000, 1002}) {
      CAPTURE(number);
      CHECK(is_there(number));
      answered(protocol::udp, next);
      next += 2;
      CHECK_FALSE(is_there(number));
    }
  }
}

TEST_CASE("limits: an evicted session's port is free, and its packets match nothing") {
  Policy policy = limited(1);
  policy.ports = {40000, 40001};
  policy.filtering = Filtering::endpoint_independent;
  Gateway gateway(policy);
  const Peer first = gateway.open(protocol::udp, blue, client, server);
  for (std::uint16_t port = 1000; port < 1050; port += 2) {
    gateway.travel(1ms);
    const Peer next = gateway.open(protocol::udp, blue, at(client, port), server);
    CHECK_EQ(gateway.engine.session_count(), 1);
    CHECK(gateway.answers(protocol::udp, server, next, blue, at(client, port)));
  }
  const auto other = static_cast<std::uint16_t>(first.port ^ 1);
  CHECK_EQ(gateway.in(udp(server, at(first, other))).reason, Reason::no_mapping);
}

TEST_CASE("limits: a lowered limit ends the least recently active sessions, and only them") {
  for (const std::uint32_t shards : {1U, 4U}) {
    Gateway gateway(limited(50), options_of(shards));
    Model model(50);
    Dice random(4);
    for (int i = 0; i < 300; ++i) {
      gateway.travel(1ms);
      const Known session = any_session(random, gateway.now);
      gateway.open(session.protocol, blue, session.internal, session.remote);
      gateway.open(session.protocol, green, session.internal, session.remote);
      model.sent(session);
    }
    Policy lowered = limited(50);
    lowered.namespaces[0].session_limit = 7;
    gateway.set_policy(lowered);
    CHECK_EQ(gateway.session_count(blue), 7);
    CHECK_EQ(gateway.session_count(green), 50);
    while (model.sessions.size() > 7) model.sessions.erase(model.oldest());
    CHECK((sessions_of(gateway, blue) == keys_of(model.sessions)));
    // A raised one ends nothing.
    gateway.set_policy(limited(90));
    CHECK_EQ(gateway.session_count(blue), 7);
    CHECK_EQ(gateway.session_count(green), 50);
  }
}

TEST_CASE("limits: the table's end drops what is new and evicts nobody else's") {
  Policy policy = limited(100);
  policy.ports = {40000, 40015};
  Gateway gateway(policy, options_of(1, 8));
  std::vector<Peer> externals;
  for (std::uint16_t i = 0; i < 8; ++i) {
    externals.push_back(gateway.open(protocol::udp, blue,
                                     at(client, static_cast<std::uint16_t>(1000 + i)), server));
  }
  const Bytes packet = udp(client, server);
  for (int i = 0; i < 100; ++i) {
    CHECK_EQ(gateway.out(green, packet).reason, Reason::table_full);
  }
  CHECK_EQ(gateway.session_count(green), 0);
  CHECK_EQ(gateway.engine.session_count(), 8);
  CHECK(gateway.answers(protocol::udp, server, externals[0], blue, at(client, 1000)));
  // What failed took nothing with it: after the others end all places are there.
  gateway.travel(5min + 2s);
  gateway.expire_all();
  for (std::uint16_t port = 1000; port < 1008; ++port) {
    gateway.open(protocol::udp, green, at(client, port), server);
  }
  CHECK_EQ(gateway.out(green, packet).reason, Reason::table_full);
}

TEST_CASE("limits: a drop for want of a port takes no place, count or port with it") {
  Policy policy = limited(3);
  policy.ports = {40000, 40001};
  Gateway gateway(policy, options_of(1, 3));
  gateway.open(protocol::udp, blue, at(client, 1000), server);
  gateway.open(protocol::udp, blue, at(client, 1001), server);
  for (int i = 0; i < 100; ++i) {
    CHECK_EQ(gateway.out(blue, udp(at(client, 1002), server)).reason, Reason::no_free_port);
  }
  CHECK_EQ(gateway.session_count(blue), 2);
  gateway.open(protocol::udp, blue, at(client, 1000), at(server, 81));
  CHECK_EQ(gateway.session_count(blue), 3);
}

TEST_CASE("limits: sessions are shared out evenly over the shards") {
  Gateway gateway(limited(10'000), options_of(4, 400));
  std::uint32_t accepted = 0;
  for (std::uint16_t port = 1000; port < 1800; ++port) {
    accepted += gateway.out(blue, udp(at(client, port), server)).accepted() ? 1U : 0U;
  }
  CHECK_EQ(accepted, 400);
  CHECK_EQ(gateway.engine.session_count(), 400);
}
