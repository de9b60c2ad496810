// Packets and bytes, counted by session and by namespace.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "engine/session/traffic_counters.h"
#include "tests/support/dice.h"
#include "tests/support/effort.h"
#include "tests/support/families.h"
#include "tests/support/memory_block.h"

using namespace swnat;
using namespace swnat::test;

namespace {

TwoWayTraffic traffic_of(const Engine& engine, NamespaceId id) {
  for (const NamespaceTraffic& one : engine.namespace_traffic()) {
    if (one.id == id) return one.traffic;
  }
  return {};
}

// Of the only session that the namespace has.
TwoWayTraffic session_traffic_of(Gateway& gateway, NamespaceId id) {
  const auto sessions = gateway.sessions();
  REQUIRE_EQ(std::ranges::count(sessions, id, &SessionView::namespace_id), 1);
  return std::ranges::find(sessions, id, &SessionView::namespace_id)->traffic;
}

TwoWayTraffic& operator+=(TwoWayTraffic& sum, const Outcome& sent_out) {
  sum.outbound += {1, total_length(sent_out.bytes)};
  return sum;
}

}  // namespace

TEST_CASE("traffic: a word overflows with the 256th packet, whatever its packets' lengths") {
  Dice random(1);
  for (const std::uint32_t longest : {28u, 1500u, 65'535u, RecentTraffic::length_max}) {
    CAPTURE(longest);
    const bool is_random = longest < 65'535;
    RecentTraffic recent{};
    OverflowedTraffic overflowed{};
    Traffic counted;
    for (std::uint32_t i = 1; i <= 256 * 40; ++i) {
      const std::uint32_t length = is_random ? 1 + random.below(longest) : longest;
      counted += {1, length};
      const bool overflows = recent.add(length);
      REQUIRE_EQ(overflows, i % 256 == 0);
      if (overflows) overflowed.add(true, recent.take_blocks());
      Traffic sum = recent.traffic();
      sum += overflowed.traffic(true);
      REQUIRE((sum == counted));
    }
    CHECK((overflowed.traffic(false) == Traffic{}));
  }
}

TEST_CASE("traffic: wide counters go far beyond 32 bits, each for itself") {
  OverflowedTraffic overflowed{};
  constexpr std::uint32_t blocks = 0xffff'ffff;
  overflowed.add(false, 7);
  for (std::uint64_t i = 1; i <= 200; ++i) {
    overflowed.add(true, blocks);
    REQUIRE(
        (overflowed.traffic(true) == Traffic{i * 256, i * blocks * RecentTraffic::block_bytes}));
  }
  CHECK((overflowed.traffic(false) == Traffic{256, 7 * RecentTraffic::block_bytes}));
}

TEST_CASE_TEMPLATE("traffic: of a session and its namespace, both ways, beyond overflows", F, V4,
                   V6) {
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const std::uint32_t shards : {1u, 4u}) {
      CAPTURE(int{protocol});
      Gateway gateway(policy_of_both(), options_of(shards));
      TwoWayTraffic wanted;
      Bytes first = opening(protocol, F::client(), F::server());
      wanted.outbound += {1, total_length(first)};
      const auto external = open<F>(gateway, protocol, blue, F::client(), F::server());
      const auto check = [&] {
        CHECK((session_traffic_of(gateway, blue) == wanted));
        CHECK((traffic_of(gateway.engine, blue) == wanted));
        CHECK((traffic_of(gateway.engine, green) == TwoWayTraffic{}));
      };
      check();
      // The answer establishes the session, so that the others take the batch's way.
      const Bytes reply = answer(protocol, F::server(), external);
      REQUIRE(gateway.in(reply).accepted());
      wanted.inbound += {1, total_length(reply)};
      Dice random(protocol);
      for (int round = 0; round < 40; ++round) {
        std::vector<Bytes> bytes;
        std::vector<Packet> packets;
        for (int i = 0; i < 50; ++i) {
          const bool is_inbound = random.below(3) == 0;
          const auto from = is_inbound ? F::server() : F::client();
          const auto to = is_inbound ? external : F::server();
          const Bytes payload = payload_of(random.below(i % 2 == 0 ? 60'000 : 1400));
          bytes.push_back(
              protocol == protocol::tcp
                  ? tcp(from, to,
                        {.flags = tcp_flag::ack, .sequence = 1001, .acknowledgment = 1001}, payload)
                  : udp(from, to, payload));
          (is_inbound ? wanted.inbound : wanted.outbound) += {1, bytes.back().size()};
          bytes.back().insert(bytes.back().end(), random.below(10), 0xee);  // beyond the packet
          packets.push_back({.bytes = {},
                             .namespace_id = is_inbound ? 0 : blue,
                             .direction = is_inbound ? Direction::inbound : Direction::outbound});
        }
        for (std::size_t i = 0; i < bytes.size(); ++i) packets[i].bytes = bytes[i];
        gateway.engine.translate(packets, gateway.now);
        for (const Packet& packet : packets) REQUIRE_EQ(packet.verdict(), Verdict::accept);
        check();
      }
      CHECK_GT(wanted.inbound.packets, 256);
      CHECK_GT(wanted.outbound.bytes, 1 << 24);
    }
  }
}

TEST_CASE("traffic: segments that are still joined are one packet, and what is long counts whole") {
  Gateway gateway;
  TwoWayTraffic wanted;
  for (int i = 0; i < 600; ++i) {
    const Bytes packet = pseudo_summed(udp(client, server, payload_of(65'535 - 28)));
    REQUIRE(gateway.out(blue, packet, ChecksumState::segmented).accepted());
    wanted.outbound += {1, 65'535};
  }
  CHECK((session_traffic_of(gateway, blue) == wanted));
  CHECK((traffic_of(gateway.engine, blue) == wanted));
}

TEST_CASE("traffic: ICMP queries count, errors and what is dropped do not") {
  Gateway gateway;
  const Outcome asked = gateway.out(green, echo_request(client, server.address));
  REQUIRE(gateway.in(echo_reply(server.address, asked.source())).accepted());
  CHECK((session_traffic_of(gateway, green) == TwoWayTraffic{{1, 28}, {1, 28}}));

  const Outcome sent = gateway.out(blue, udp(client, server));
  REQUIRE(sent.accepted());
  const Bytes error = error_about(sent.bytes, Host::of(192, 0, 2, 33), sent.source().address);
  REQUIRE(gateway.in(error).accepted());
  const Outcome received = gateway.in(udp(server, sent.source()));
  REQUIRE(received.accepted());
  REQUIRE(
      gateway.out(blue, error_about(received.bytes, client.address, server.address)).accepted());
  CHECK_FALSE(gateway.in(udp({Host::of(192, 0, 2, 99), 80}, sent.source())).accepted());
  CHECK_FALSE(gateway.out(blue, tcp(client, server, {.flags = tcp_flag::ack})).accepted());
  CHECK((traffic_of(gateway.engine, blue) == TwoWayTraffic{{1, 28}, {1, 28}}));
}

TEST_CASE_TEMPLATE("traffic: of a datagram in fragments the first one counts", F, V4, V6) {
  Gateway gateway(policy_of_both(), options_of(4));
  const Bytes datagram = udp(F::client(), F::server(), payload_of(4000));
  const std::vector<Bytes> pieces = fragments_of(datagram, 1000);
  for (const Bytes& piece : pieces) REQUIRE(gateway.out(blue, piece).accepted());
  const TwoWayTraffic wanted{{1, pieces[0].size()}, {}};
  CHECK((session_traffic_of(gateway, blue) == wanted));
  CHECK((traffic_of(gateway.engine, blue) == wanted));
}

TEST_CASE("traffic: a hairpin counts for the sender's session and for the receiver's") {
  const Peer host{Host::of(10, 0, 0, 9), 5004};
  for (const std::uint8_t protocol : protocols_with_ports) {
    Gateway gateway(policy_with(Filtering::endpoint_independent), options_of(4));
    const Peer external = gateway.open(protocol, green, host, server);
    const TwoWayTraffic opened = traffic_of(gateway.engine, green);
    const Outcome passed = gateway.hairpin(blue, opening(protocol, client, external));
    REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
    const std::uint64_t length = total_length(passed.bytes);
    const Outcome back = gateway.hairpin(green, answer(protocol, host, passed.source()));
    REQUIRE_EQ(back.reason, Reason::translated_hairpin);
    const std::uint64_t answered = total_length(back.bytes);
    const TwoWayTraffic of_client{{1, length}, {1, answered}};
    CHECK((session_traffic_of(gateway, blue) == of_client));
    CHECK((traffic_of(gateway.engine, blue) == of_client));
    TwoWayTraffic of_host = opened;
    of_host += {{1, answered}, {1, length}};
    CHECK((traffic_of(gateway.engine, green) == of_host));
    // To itself it is both.
    const Outcome self = gateway.hairpin(green, opening(protocol, host, external));
    REQUIRE_EQ(self.reason, Reason::translated_hairpin);
    of_host += {{1, length}, {1, length}};
    CHECK((traffic_of(gateway.engine, green) == of_host));
  }
}

TEST_CASE("traffic: what the receiver's side refuses was sent all the same") {
  Gateway gateway;
  const Outcome opened = gateway.out(green, udp({Host::of(10, 0, 0, 9), 5004}, server));
  REQUIRE_EQ(gateway.hairpin(blue, udp(client, opened.source())).reason, Reason::filtered);
  CHECK((traffic_of(gateway.engine, blue) == TwoWayTraffic{{1, 28}, {}}));
  CHECK((traffic_of(gateway.engine, green) == TwoWayTraffic{{1, 28}, {}}));
}

TEST_CASE("traffic: a namespace keeps what its sessions had, however they end") {
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = blue, .last = green, .session_limit = 3, .external = {}}};
  policy.timeouts.tcp_transitory = 0ms;
  Gateway gateway(policy, options_of(2));
  TwoWayTraffic wanted;
  const auto send = [&](NamespaceId id, Bytes packet) {
    const Outcome sent = gateway.out(id, std::move(packet));
    REQUIRE(sent.accepted());
    if (id == blue) wanted += sent;
    return sent;
  };
  const auto send_many = [&] {
    for (std::uint16_t i = 0; i < 300; ++i) send(blue, udp(client, server, payload_of(i)));
  };
  SUBCASE("by time, with the next packet or by expire()") {
    send_many();
    gateway.travel(policy.timeouts.udp);
    send_many();
    gateway.travel(policy.timeouts.udp + 2s);
    gateway.expire_all();
    CHECK_EQ(gateway.session_count(blue), 0);
  }
  SUBCASE("by eviction, here and in another shard") {
    send_many();
    for (std::uint16_t port = 1; port < 20; ++port) {
      send(blue, udp(at(client, port), server, payload_of(port)));
    }
    CHECK_EQ(gateway.session_count(blue), 3);
  }
  SUBCASE("by a reset") {
    const Outcome asked = send(blue, tcp(client, server));
    const Bytes refused = tcp(server, asked.source(),
                              {.flags = tcp_flag::rst | tcp_flag::ack, .acknowledgment = 1001});
    REQUIRE(gateway.in(refused).accepted());
    wanted.inbound += {1, refused.size()};
    CHECK_EQ(gateway.session_count(blue), 0);
  }
  SUBCASE("by a reload that has the namespace no more, and again") {
    send_many();
    CHECK((traffic_of(gateway.engine, blue) == wanted));
    Policy without = policy;
    without.namespaces[0].first = green;
    gateway.set_policy(without);
    CHECK((traffic_of(gateway.engine, blue) == TwoWayTraffic{}));  // not told
    CHECK_EQ(gateway.engine.namespace_traffic().size(), 1);
    send(green, udp(client, server));
    gateway.set_policy(policy);
    CHECK((traffic_of(gateway.engine, blue) == wanted));
    send_many();
  }
  CHECK((traffic_of(gateway.engine, blue) == wanted));
}

TEST_CASE("traffic: a new session in the place of another begins at nothing") {
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = 1, .external = {}}};
  Gateway gateway(policy);
  for (int i = 0; i < 700; ++i) REQUIRE(gateway.out(blue, udp(client, server)).accepted());
  CHECK((session_traffic_of(gateway, blue) == TwoWayTraffic{{700, 700 * 28}, {}}));
  REQUIRE(gateway.out(blue, udp(at(client, 7), server)).accepted());
  CHECK((session_traffic_of(gateway, blue) == TwoWayTraffic{{1, 28}, {}}));
  CHECK((traffic_of(gateway.engine, blue) == TwoWayTraffic{{701, 701 * 28}, {}}));
}

TEST_CASE("traffic: an engine that takes sessions over begins at nothing") {
  const EngineOptions options = options_of(2, 64);
  Memory memory(options);
  {
    Gateway before(roomy_policy(), memory.given_to(options));
    for (int i = 0; i < 300; ++i) REQUIRE(before.out(blue, udp(client, server)).accepted());
  }
  Gateway after(roomy_policy(), memory.given_to(options));
  CHECK((session_traffic_of(after, blue) == TwoWayTraffic{}));
  CHECK((traffic_of(after.engine, blue) == TwoWayTraffic{}));
  for (int i = 0; i < 300; ++i) REQUIRE(after.out(blue, udp(client, server)).accepted());
  CHECK((session_traffic_of(after, blue) == TwoWayTraffic{{300, 300 * 28}, {}}));
  CHECK((traffic_of(after.engine, blue) == TwoWayTraffic{{300, 300 * 28}, {}}));
}

TEST_CASE("traffic: told while packets come it never goes back, nor beyond what was sent") {
  constexpr std::uint32_t workers = 3;
  const std::uint32_t rounds = 60 * effort;
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = 40, .external = {}},
                       {.first = green, .last = green, .session_limit = 9000, .external = {}}};
  Gateway gateway(policy, options_of(1, 10'000));
  // So many that they are not read in one go, and blue's come last.
  for (std::uint16_t port = 1; port <= 9000; ++port) {
    REQUIRE(gateway.out(green, udp(client, at(server, port))).accepted());
  }
  std::atomic<std::uint64_t> begun = 0;
  std::atomic<std::uint32_t> working = workers;
  std::vector<std::jthread> threads;
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    threads.emplace_back([&, worker] {
      Dice random(worker);
      for (std::uint32_t round = 0; round < rounds; ++round) {
        // Few sessions with many packets, and others that come and go.
        std::vector<Bytes> bytes;
        std::vector<Packet> packets(100, Packet{.bytes = {}, .namespace_id = blue});
        for (std::uint32_t i = 0; i < packets.size(); ++i) {
          const std::uint32_t range = i % 10 == 0 ? 200 : 4;
          bytes.push_back(
              udp(at(client, static_cast<std::uint16_t>(1 + random.below(range))), server));
        }
        for (std::size_t i = 0; i < packets.size(); ++i) packets[i].bytes = bytes[i];
        begun += packets.size();
        gateway.engine.translate(packets, gateway.now);
      }
      --working;
    });
  }
  Traffic before;
  while (working != 0) {
    const Traffic told = traffic_of(gateway.engine, blue).outbound;
    CHECK_LE(told.packets, begun);
    CHECK_GE(told.packets, before.packets);
    CHECK_GE(told.bytes, before.bytes);
    before = told;
  }
  threads.clear();
  const std::uint64_t translated = gateway.count(Reason::translated_outbound) - 9000;
  CHECK((traffic_of(gateway.engine, blue) == TwoWayTraffic{{translated, translated * 28}, {}}));
}

TEST_CASE("traffic: read in parts, while namespaces come and sessions end") {
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = 9000, .external = {}}};
  Policy wider = policy;
  wider.namespaces.push_back({.first = green, .last = green, .session_limit = 9, .external = {}});
  Gateway gateway(policy, options_of(1, 10'000));
  TwoWayTraffic wanted;
  for (std::uint16_t port = 1; port <= 9000; ++port) {
    wanted += gateway.out(blue, udp(client, at(server, port)));
  }
  TrafficReading reading;
  CHECK_FALSE(gateway.engine.namespace_traffic(reading));
  gateway.set_policy(wider);
  REQUIRE(gateway.out(green, udp(client, server)).accepted());
  std::optional<std::vector<NamespaceTraffic>> told;
  for (int parts = 1; !told; ++parts) {
    REQUIRE_LE(parts, 6);
    told = gateway.engine.namespace_traffic(reading);
  }
  REQUIRE_EQ(told->size(), 2);
  CHECK((told->front().traffic == wanted));
  CHECK((told->back().traffic == TwoWayTraffic{}));  // it was not there when the reading began
  CHECK((traffic_of(gateway.engine, green) == TwoWayTraffic{{1, 28}, {}}));

  // Those that end in the middle of a reading are missing, and not from what was told before.
  TrafficReading late;
  CHECK_FALSE(gateway.engine.namespace_traffic(late));
  gateway.expire_after(std::chrono::hours(1));
  while (!(told = gateway.engine.namespace_traffic(late))) {
  }
  CHECK((told->front().traffic == wanted));
  CHECK((traffic_of(gateway.engine, blue) == wanted));
}
