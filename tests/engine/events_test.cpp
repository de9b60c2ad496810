// What the engine tells of mappings and sessions, each kind and each cause.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "tests/support/connection.h"
#include "tests/support/families.h"
#include "tests/support/listener.h"
#include "tests/support/memory_block.h"

using namespace swnat;
using namespace swnat::test;

namespace {

const Words one_made{"mapping_made", "session_made"};

template <class F>
IpEndpoint unspecified() {
  return Endpoint<typename F::Address>{};
}

Policy with_limit(std::uint32_t limit, AtLimit at_limit = AtLimit::evict_oldest) {
  Policy policy = roomy_policy();
  policy.at_limit = at_limit;
  policy.namespaces[0].session_limit = limit;
  return policy;
}

}  // namespace

TEST_CASE_TEMPLATE("events: a session from its first packet to its end", F, V4, V6) {
  for (const std::uint8_t protocol : {protocol::tcp, protocol::udp, F::icmp}) {
    CAPTURE(int{protocol});
    Gateway gateway(policy_of_both(), options_of(4));
    Listener listener(gateway);
    gateway.travel(7s);
    const Time made_at = gateway.now;
    const auto external = open<F>(gateway, protocol, green, F::client(), F::server());
    gateway.travel(3s);
    REQUIRE(answers<F>(gateway, protocol, F::server(), external, green, F::client()));
    open<F>(gateway, protocol, green, F::client(), F::server());
    const auto made = listener.take();
    REQUIRE_EQ(made.size(), 2);
    for (const Event& event : made) {
      CHECK_EQ(event.time, made_at);
      CHECK_EQ(event.namespace_id, green);
      CHECK_EQ(event.protocol, protocol);
      CHECK((event.internal == IpEndpoint(F::client())));
      CHECK((event.external == IpEndpoint(external)));
      CHECK_EQ(event.cause, EndCause::none);
      CHECK_FALSE(event.is_from_outside);
      CHECK_FALSE(event.is_forward);
    }
    CHECK_EQ(made[0].kind, EventKind::mapping_made);
    CHECK((made[0].remote == unspecified<F>()));
    CHECK_EQ(made[1].kind, EventKind::session_made);
    const std::uint16_t remote_port = protocol == F::icmp ? 0 : F::server().port;
    CHECK((made[1].remote == IpEndpoint(at(F::server(), remote_port))));

    gateway.expire_after(3h);
    const auto ended = listener.take();
    REQUIRE_EQ(ended.size(), 2);
    CHECK_EQ(ended[0].kind, EventKind::session_ended);
    CHECK((ended[0].remote == made[1].remote));
    CHECK_EQ(ended[1].kind, EventKind::mapping_ended);
    CHECK((ended[1].remote == unspecified<F>()));
    for (const Event& event : ended) {
      CHECK_GE(event.time, made_at + 3h);
      CHECK_EQ(event.cause, EndCause::expired);
      CHECK((event.internal == IpEndpoint(F::client())));
      CHECK((event.external == IpEndpoint(external)));
    }
  }
}

TEST_CASE("events: a mapping ends with its last session only") {
  Gateway gateway(roomy_policy(), options_of(2));
  Listener listener(gateway);
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(1min);
  gateway.open(protocol::udp, blue, client, at(server, 81));
  gateway.open(protocol::udp, blue, client, at(server, 82));
  CHECK_EQ(listener.words(), Words{"mapping_made", "session_made", "session_made", "session_made"});
  gateway.expire_after(4min + 1ms);
  CHECK_EQ(listener.words(), Words{"session_ended expired"});
  gateway.expire_after(1min);
  CHECK_EQ(listener.words(),
           Words{"session_ended expired", "session_ended expired", "mapping_ended expired"});
}

TEST_CASE("events: where no mapping is shared each session's says its remote") {
  Policy policy = roomy_policy();
  policy.mapping = Mapping::address_and_port_dependent;
  Gateway gateway(policy);
  Listener listener(gateway);
  gateway.open(protocol::udp, blue, client, server);
  gateway.open(protocol::udp, blue, client, at(server, 81));
  const auto told = listener.take();
  REQUIRE_EQ(told.size(), 4);
  CHECK((told[0].remote == IpEndpoint(server)));
  CHECK_EQ(told[2].kind, EventKind::mapping_made);
  CHECK((told[2].remote == IpEndpoint(at(server, 81))));
  gateway.expire_after(5min);
  const auto ended = listener.words();
  CHECK_EQ(ended.size(), 4);
  CHECK_EQ(std::ranges::count(ended, "mapping_ended expired"), 2);

  Gateway portless;
  Listener portless_listener(portless);
  const Bytes gre = ip_packet(client.address, server.address, payload_of(20), {.protocol = 47});
  REQUIRE(portless.out(blue, gre).accepted());
  const auto told_of_gre = portless_listener.take();
  REQUIRE_EQ(told_of_gre.size(), 2);
  CHECK((told_of_gre[0].remote == IpEndpoint(at(server, 0))));
}

TEST_CASE("events: connections that ended by themselves say how") {
  Gateway gateway;
  Listener listener(gateway);
  Connection closed{gateway};
  closed.handshake();
  closed.out(fin | ack, 1001, 5001);
  closed.in(fin | ack, 5001, 1002);
  closed.out(ack, 1002, 5002);
  REQUIRE_EQ(closed.state(), "closing");
  CHECK_EQ(listener.words(), one_made);
  gateway.expire_after(4min);
  CHECK_EQ(listener.words(), ends_of_one("closed"));

  Connection reset{gateway};
  reset.handshake();
  reset.in(rst, 5001, 0);
  REQUIRE_EQ(reset.state(), "reset");
  CHECK_EQ(listener.words(), one_made);
  gateway.expire_after(4min);
  CHECK_EQ(listener.words(), ends_of_one("reset"));

  Connection half{gateway};
  half.handshake();
  half.out(fin | ack, 1001, 5001);
  listener.take();
  gateway.expire_after(3h);
  CHECK_EQ(listener.words(), ends_of_one("expired"));
}

TEST_CASE("events: a closed connection that is freed at once") {
  Policy policy = roomy_policy();
  policy.timeouts.tcp_transitory = 0ms;
  Gateway gateway(policy);
  Listener listener(gateway);
  Connection connection{gateway};
  connection.handshake();
  connection.in(rst, 5001, 0);
  Words wanted = one_made;
  for (const std::string& end : ends_of_one("reset")) wanted.push_back(end);
  CHECK_EQ(listener.words(), wanted);
}

TEST_CASE("events: one that has expired ends when a packet finds it") {
  Gateway gateway;
  Listener listener(gateway);
  gateway.open(protocol::udp, blue, client, server);
  listener.take();
  gateway.travel(5min);
  gateway.open(protocol::udp, blue, client, server);
  CHECK_EQ(listener.words(),
           Words{"session_ended expired", "mapping_ended expired", "mapping_made", "session_made"});
}

TEST_CASE("events: evicted for a new session, in its own shard and in another") {
  for (const std::uint32_t shards : {1U, 4U}) {
    CAPTURE(shards);
    Gateway gateway(with_limit(2), options_of(shards));
    Listener listener(gateway);
    gateway.open(protocol::udp, blue, at(client, 1000), server);
    gateway.travel(1ms);
    gateway.open(protocol::udp, blue, at(client, 1002), server);
    listener.take();
    gateway.travel(5s);
    gateway.open(protocol::udp, blue, at(client, 1004), server);
    auto told = listener.take();
    // Of several shards in any order.
    std::ranges::stable_sort(told, {}, [](const Event& event) { return event.internal.port; });
    REQUIRE_EQ(told.size(), 4);
    CHECK_EQ(told[0].kind, EventKind::session_ended);
    CHECK_EQ(told[0].cause, EndCause::evicted);
    CHECK_EQ(told[0].time, gateway.now);
    CHECK_EQ(told[0].internal.port, 1000);
    CHECK_EQ(told[1].kind, EventKind::mapping_ended);
    CHECK_EQ(told[3].internal.port, 1004);
  }
}

TEST_CASE("events: ended by a policy, and by the limit that it lowers") {
  Gateway gateway(with_limit(3), options_of(2));
  gateway.open(protocol::udp, blue, client, server);
  gateway.open(protocol::tcp, blue, client, server);
  gateway.travel(1ms);
  gateway.open(protocol::tcp, blue, at(client, 1000), server);
  Listener listener(gateway);
  Policy policy = with_limit(3);
  policy.drops = {{.protocol = protocol::udp, .ports = {80, 80}}};
  gateway.set_policy(policy);
  CHECK_EQ(listener.words(), ends_of_one("policy"));
  policy.namespaces[0].session_limit = 1;
  gateway.set_policy(policy);
  CHECK_EQ(listener.words(), ends_of_one("evicted"));
}

TEST_CASE("events: ended on demand") {
  Gateway gateway;
  Listener listener(gateway);
  gateway.open(protocol::udp, blue, client, server);
  listener.take();
  Engine::Cursor cursor;
  while (gateway.engine.end_sessions({}, cursor, gateway.now)) {
  }
  CHECK_EQ(listener.words(), ends_of_one("flushed"));
}

TEST_CASE_TEMPLATE("events: refused on the way out, and why", F, V4, V6) {
  struct Way {
    Reason reason;
    Policy policy;
    int others;  // sessions before it
  };
  Policy dropping = policy_of_both();
  dropping.drops = {{.protocol = protocol::udp, .ports = {80, 80}}};
  Policy limited = policy_of_both();
  limited.at_limit = AtLimit::refuse;
  limited.namespaces[0].session_limit = 2;
  Policy ports_limited = policy_of_both();
  ports_limited.namespaces[0].port_limit = 2;
  Policy few_ports = policy_of_both();
  few_ports.ports = {40000, 40001};
  const Way ways[] = {{Reason::dropped_by_rule, dropping, 0},
                      {Reason::session_limit, limited, 2},
                      {Reason::port_limit, ports_limited, 2},
                      {Reason::no_free_port, few_ports, 2},
                      {Reason::table_full, policy_of_both(), 2}};
  for (const Way& way : ways) {
    CAPTURE(info(way.reason).name);
    const std::uint32_t room = way.reason == Reason::table_full ? 2 : 64;
    Gateway gateway(way.policy, options_of(1, room));
    for (int i = 0; i < way.others; ++i) {
      const auto port = static_cast<std::uint16_t>(2000 + i);
      open<F>(gateway, protocol::udp, blue, at(F::client(), port), at(F::server(), 53));
    }
    Listener listener(gateway);
    gateway.travel(2s);
    const Bytes packet = udp(F::client(), F::server());
    // Alone, and in a batch that has it twice.
    std::vector<Bytes> bytes(2, packet);
    std::vector<Packet> packets(2);
    for (std::size_t i = 0; i < 2; ++i) packets[i] = {.bytes = bytes[i], .namespace_id = blue};
    CHECK_EQ(gateway.out(blue, packet).reason, way.reason);
    gateway.engine.translate(packets, gateway.now);
    const auto told = listener.take();
    REQUIRE_EQ(told.size(), 3);
    for (const Event& event : told) {
      CHECK_EQ(event.kind, EventKind::refused);
      CHECK_EQ(event.reason, way.reason);
      CHECK_EQ(event.time, gateway.now);
      CHECK_EQ(event.namespace_id, blue);
      CHECK_EQ(event.protocol, protocol::udp);
      CHECK((event.internal == IpEndpoint(F::client())));
      CHECK((event.external == unspecified<F>()));
      CHECK((event.remote == IpEndpoint(F::server())));
      CHECK_FALSE(event.is_from_outside);
    }
  }
}

TEST_CASE("events: two redirected to one remote, the second refused") {
  Policy policy = roomy_policy();
  policy.redirects = {{.protocol = 17, .from = server, .to = at(server, 5353)}};
  Gateway gateway(policy);
  gateway.open(protocol::udp, blue, client, at(server, 5353));
  Listener listener(gateway);
  CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::remote_in_use);
  const auto told = listener.take();
  REQUIRE_EQ(told.size(), 1);
  CHECK((told[0].remote == IpEndpoint(server)));
}

TEST_CASE("events: what can make no session, and what passes, is no refusal") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::tcp, blue, client, server);
  Listener listener(gateway);
  CHECK_EQ(gateway.out(blue, tcp(client, at(server, 81), {.flags = ack})).reason,
           Reason::tcp_not_syn);
  CHECK_EQ(gateway.out(blue, udp(client, {Host::of(127, 0, 0, 1), 80})).reason,
           Reason::invalid_address);
  CHECK_EQ(gateway.out(999, udp(client, server)).reason, Reason::unknown_namespace);
  CHECK_EQ(gateway.in(tcp({Host::of(192, 0, 2, 1), 99}, external)).reason, Reason::filtered);
  CHECK_EQ(gateway.in(udp(server, external)).reason, Reason::no_mapping);
  CHECK(listener.take().empty());
}

TEST_CASE_TEMPLATE("events: from outside, by a forward", F, V4, V6) {
  Policy policy = policy_of_both();
  policy.namespaces[0].session_limit = 1;
  const typename F::Peer service{F::external(), 443};
  policy.forwards = {{.protocol = protocol::tcp,
                      .external = service,
                      .namespace_id = green,
                      .to = at(F::neighbour(), 80)}};
  Gateway gateway(policy, options_of(4));
  Listener listener(gateway);
  REQUIRE(gateway.in(opening(protocol::tcp, F::stranger(), service)).accepted());
  CHECK_EQ(gateway.in(opening(protocol::tcp, F::server(), service)).reason, Reason::session_limit);
  const auto told = listener.take();
  REQUIRE_EQ(told.size(), 3);
  for (const Event& event : told) {
    CHECK(event.is_from_outside);
    CHECK_EQ(event.namespace_id, green);
    CHECK((event.internal == IpEndpoint(at(F::neighbour(), 80))));
    CHECK((event.external == IpEndpoint(service)));
  }
  CHECK_EQ(told[0].kind, EventKind::mapping_made);
  CHECK(told[1].is_forward);
  CHECK((told[1].remote == IpEndpoint(F::stranger())));
  CHECK_EQ(told[2].kind, EventKind::refused);
  CHECK_EQ(told[2].reason, Reason::session_limit);
  CHECK((told[2].remote == IpEndpoint(F::server())));
}

TEST_CASE("events: refused by a full table on the way in") {
  Policy policy = roomy_policy();
  policy.filtering = Filtering::endpoint_independent;
  Gateway gateway(policy, options_of(1, 1));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  Listener listener(gateway);
  CHECK_EQ(gateway.in(udp({Host::of(192, 0, 2, 1), 99}, external)).reason, Reason::table_full);
  CHECK_EQ(listener.words(), Words{"refused table_full"});
}

TEST_CASE("events: a hairpin makes two sessions; refused at its second half it made one") {
  const Peer host{Host::of(10, 0, 0, 9), 5004};
  Policy policy = roomy_policy();
  policy.filtering = Filtering::endpoint_independent;
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = 100},
                       {.first = green, .last = green, .session_limit = 2}};
  Gateway gateway(policy, options_of(4));
  const Peer external = gateway.open(protocol::udp, green, host, server);
  Listener listener(gateway);
  REQUIRE_EQ(gateway.hairpin(blue, udp(client, external)).reason, Reason::translated_hairpin);
  auto told = listener.take();
  std::ranges::stable_sort(told, {}, &Event::namespace_id);
  REQUIRE_EQ(told.size(), 3);
  CHECK_EQ(told[0].kind, EventKind::mapping_made);
  CHECK_EQ(told[1].namespace_id, blue);
  CHECK((told[1].remote == IpEndpoint(external)));
  CHECK_EQ(told[2].kind, EventKind::session_made);
  CHECK_EQ(told[2].namespace_id, green);
  CHECK(told[2].is_from_outside);
  CHECK((told[2].remote == told[1].external));

  CHECK_EQ(gateway.hairpin(blue, udp(at(client, 1000), external)).reason, Reason::session_limit);
  told = listener.take();
  std::ranges::stable_sort(told, {}, &Event::namespace_id);
  REQUIRE_EQ(told.size(), 3);
  CHECK_EQ(told[1].kind, EventKind::session_made);
  CHECK_EQ(told[2].kind, EventKind::refused);
  CHECK_EQ(told[2].namespace_id, green);
}

TEST_CASE("events: a batch tells in the order of its packets, shard by shard") {
  Gateway gateway(with_limit(12), options_of(4));
  Listener listener(gateway);
  std::vector<Bytes> bytes;
  for (std::uint16_t i = 0; i < 40; ++i) {
    bytes.push_back(udp(at(client, static_cast<std::uint16_t>(1000 + 2 * i)), server));
  }
  std::vector<Packet> packets(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    packets[i] = {.bytes = bytes[i], .namespace_id = blue};
  }
  gateway.engine.translate(packets, gateway.now);
  std::map<unsigned, std::uint16_t> last;  // internal port made, by shard
  std::map<std::uint16_t, int> there;
  for (const Event& event : listener.take()) {
    const std::uint16_t port = event.internal.port;
    if (event.kind == EventKind::session_made) {
      CHECK_EQ(there[port]++, 0);
      std::uint16_t& before = last[port >> 1 & 3u];
      CHECK_LT(before, port);
      before = port;
    } else if (event.kind == EventKind::session_ended) {
      CHECK_EQ(event.cause, EndCause::evicted);
      CHECK_EQ(there[port]--, 1);
    }
  }
  CHECK_EQ(there.size(), 40);
  CHECK_EQ(std::ranges::count(there, 1, [](const auto& one) { return one.second; }), 12);
}

TEST_CASE("events: only the kinds that are listened for, and what is unread stays") {
  Gateway gateway;
  Listener listener(gateway, {EventKind::mapping_made});
  gateway.open(protocol::udp, blue, client, server);
  gateway.engine.listen({EventKind::session_ended}, 4096);
  gateway.open(protocol::udp, blue, at(client, 1000), server);
  gateway.expire_after(5min);
  CHECK_EQ(listener.words(),
           Words{"mapping_made", "session_ended expired", "session_ended expired"});
  gateway.open(protocol::udp, blue, client, server);
  gateway.expire_after(5min);
  gateway.engine.listen({EventKind::session_ended}, 64);
  CHECK(listener.take().empty());  // another capacity
  gateway.open(protocol::udp, blue, client, server);
  gateway.engine.stop_listening();
  gateway.expire_after(5min);
  CHECK(listener.take().empty());
  CHECK_THROWS_AS(gateway.engine.listen(EventKinds::all(), 15), std::invalid_argument);
  CHECK_THROWS_AS(gateway.engine.listen(EventKinds::all(), (1u << 24) + 1), std::invalid_argument);
}

TEST_CASE("events: sessions that were there before are told at their end only") {
  const EngineOptions options = options_of(2, 256);
  Memory memory(options);
  { Gateway(roomy_policy(), memory.given_to(options)).open(protocol::udp, blue, client, server); }
  Gateway gateway(roomy_policy(), memory.given_to(options));
  REQUIRE_EQ(gateway.engine.session_count(), 1);
  Listener listener(gateway);
  CHECK(listener.take().empty());
  gateway.expire_after(5min);
  CHECK_EQ(listener.words(), ends_of_one("expired"));
}

TEST_CASE("events: each shard has its own room, and small steps come to all of them") {
  Gateway gateway(policy_of_both(), options_of(2));
  Listener listener(gateway, {EventKind::session_made}, 16);
  for (std::uint16_t i = 0; i < 20; ++i) {
    open<V4>(gateway, protocol::udp, blue, at(client, static_cast<std::uint16_t>(1000 + 4 * i)),
             server);
    open<V6>(gateway, protocol::udp, blue, at(client6, static_cast<std::uint16_t>(1002 + 4 * i)),
             server6);
  }
  gateway.open(protocol::udp, blue, at(client, 1002), server);
  Event page[3];
  std::size_t last_shard_seen = 0;
  for (int round = 0; round < 3; ++round) {
    REQUIRE_EQ(gateway.engine.take_events(page, gateway.now), 3);
    for (const Event& event : page) {
      if (event.internal == IpEndpoint(at(client, 1002))) ++last_shard_seen;
    }
  }
  CHECK_EQ(last_shard_seen, 1);
  std::uint64_t lost = 0;
  for (const Event& event : listener.take()) {
    if (event.kind == EventKind::lost) lost += event.count;
  }
  CHECK_EQ(lost, 8);
}

TEST_CASE("events: time is right where the engine's ticks begin again") {
  Gateway gateway;
  gateway.now = Time{(1ll << 32) - 1000};
  Listener listener(gateway);
  const Time made = gateway.now;
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(2s);
  gateway.open(protocol::udp, blue, client, at(server, 81));
  gateway.travel(20h);
  const auto told = listener.take();
  REQUIRE_EQ(told.size(), 3);
  CHECK_EQ(told[0].time, made);
  CHECK_EQ(told[2].time, made + 2s);
}
