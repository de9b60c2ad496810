// Rules that change while packets of both families are on their way in every direction.
#include <doctest/doctest.h>

#include <atomic>
#include <numeric>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/support/dice.h"
#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr std::uint32_t shards = 4;
constexpr int rounds = 1500;
constexpr std::uint16_t first_port = 40000;
constexpr std::uint16_t port_count = 64;

std::uint16_t port_of(std::uint32_t number) {
  return static_cast<std::uint16_t>(first_port + number % port_count);
}

// Each turn forwards other ports of the range, to other shards, and has other rules besides.
Policy policy_at(std::uint32_t turn) {
  Policy policy = policy_of_both();
  policy.ports = {first_port, first_port + port_count - 1};
  policy.filtering = Filtering::endpoint_independent;
  policy.namespaces = {{.first = 1,
                        .last = turn % 5 == 0 ? 3u : 4u,
                        .session_limit = 12 + turn % 3 * 20,
                        .inside = {Network<Host>{Host::of(10, 0, 0, 0), 8}}}};
  for (std::uint32_t i = 0; i < turn % 4; ++i) {
    const std::uint16_t port = port_of(turn * 7 + i * 3);
    const auto inner = static_cast<std::uint16_t>(1000 + 2 * (turn + i) % 16);
    policy.forwards.push_back({.protocol = protocol::udp,
                               .external = Peer{external_host, port},
                               .namespace_id = 1 + i,
                               .to = at(client, inner)});
    policy.forwards.push_back({.protocol = protocol::udp,
                               .external = Peer6{external_host6, port},
                               .namespace_id = 1 + i,
                               .to = at(client6, inner)});
  }
  if (turn % 3 == 1) policy.drops = {{.protocol = protocol::udp, .ports = {81, 81}}};
  if (turn % 3 == 2) {
    policy.redirects = {{.protocol = protocol::udp, .from = at(server, 82), .to = V4::neighbour()}};
  }
  return policy;
}

Bytes any_packet(Dice& random, Direction direction) {
  const bool v6 = random.one_in(2);
  const auto inner = static_cast<std::uint16_t>(1000 + random.below(24));
  const auto far = static_cast<std::uint16_t>(80 + random.below(4));
  const std::uint16_t port = port_of(random());
  if (direction == Direction::inbound) {
    return v6 ? udp(at(server6, far), {external_host6, port})
              : udp(at(server, far), {external_host, port});
  }
  if (random.one_in(3)) {
    return v6 ? udp(at(client6, inner), {external_host6, port})
              : udp(at(client, inner), {external_host, port});
  }
  Bytes packet = v6 ? udp(at(client6, inner), at(server6, far), payload_of(64))
                    : udp(at(client, inner), at(server, far), payload_of(64));
  if (!random.one_in(5)) return packet;
  return fragments_of(packet, 32, random())[random.below(2)];
}

void work(Engine& engine, std::atomic<std::int64_t>& clock, std::uint32_t seed) {
  Dice random(seed);
  for (int round = 0; round < rounds; ++round) {
    std::vector<Bytes> bytes;
    std::vector<Packet> packets(24);
    for (Packet& packet : packets) {
      packet.direction = static_cast<Direction>(random.below(3));
      packet.namespace_id = 1 + random.below(4);
      bytes.push_back(any_packet(random, packet.direction));
    }
    for (std::size_t i = 0; i < packets.size(); ++i) packets[i].bytes = bytes[i];
    engine.translate(packets, Time(clock.fetch_add(200)));
    if (round % 16 == 0) engine.expire(random.below(shards), Time(clock.load()), 64);
  }
}

// No two sessions have the same outside flow.
void check_no_flow_twice(Gateway& gateway) {
  std::set<std::tuple<bool, std::uint16_t, std::uint16_t>> outside;
  for (const SessionView& view : gateway.sessions()) {
    const bool v6 = std::holds_alternative<Host6>(view.internal.address);
    const bool to_server = v6 ? view.remote.address == IpAddress{server6.address}
                              : view.remote.address == IpAddress{server.address};
    if (!to_server) continue;
    CHECK(outside.insert({v6, view.external.port, view.remote.port}).second);
  }
}

}  // namespace

TEST_CASE("rule_threads: rules change under packets of both families") {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    const auto policy = [&](std::uint32_t turn) {
      Policy made = policy_at(turn);
      made.mapping = mapping;
      made.timeouts.udp = 200s;
      return made;
    };
    Gateway gateway(policy(0), options_of(shards, 2048));
    std::atomic<std::int64_t> clock{1'000'000};
    std::atomic<bool> over{false};
    {
      std::jthread operating([&] {
        for (std::uint32_t turn = 0; !over; ++turn) {
          gateway.engine.set_policy(std::make_shared<const Policy>(policy(turn)),
                                    Time(clock.load()));
        }
      });
      std::vector<std::jthread> workers;
      for (std::uint32_t seed = 0; seed < 3; ++seed) {
        workers.emplace_back([&, seed] { work(gateway.engine, clock, seed); });
      }
      for (std::jthread& worker : workers) worker.join();
      over = true;
    }
    const Counters counters = gateway.engine.counters();
    CHECK_EQ(std::accumulate(counters.begin(), counters.end(), std::uint64_t{0}),
             std::uint64_t{3} * rounds * 24);
    gateway.now = Time(clock.load());
    // The last rules hold, whatever was before.
    Policy last = policy(7);
    last.namespaces[0].session_limit = 1000;
    gateway.set_policy(last);
    check_no_flow_twice(gateway);
    for (const ForwardRule& rule : last.forwards) {
      if (!std::holds_alternative<Host>(rule.external.address)) continue;
      const Outcome came = gateway.in(udp({Host::of(192, 0, 2, 200), 9}, peer_of(rule.external)));
      REQUIRE_EQ(came.reason, Reason::translated_inbound);
      CHECK_EQ(came.destination(), peer_of(rule.to));
      CHECK_EQ(came.namespace_id, rule.namespace_id);
    }
    // And no port is lost.
    Policy without = policy(0);
    without.namespaces[0].session_limit = 1000;
    gateway.set_policy(without);
    gateway.travel(10min);
    gateway.expire_all();
    gateway.travel(10min);
    gateway.expire_all();
    CHECK_EQ(gateway.engine.session_count(), 0);
    for (std::uint16_t i = 0; i < port_count; ++i) {
      gateway.open(protocol::udp, blue, at(client, static_cast<std::uint16_t>(2000 + i)), server);
    }
  }
}
