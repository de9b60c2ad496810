// Packets that are given together: the same as one by one.
#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "tests/support/connection.h"
#include "tests/support/dice.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

struct Sent {
  Direction direction;
  NamespaceId id;
  Bytes bytes;
  Reason reason = Reason::malformed_ip;
};

Peer internal_of(Dice& random) {
  return {Host::from_host(0x0a00'0002 + random.below(4)),
          static_cast<std::uint16_t>(1000 + random.below(30))};
}

Peer remote_of(Dice& random) {
  return {Host::from_host(0xc633'6401 + random.below(3)), 443};
}

// Traffic of all kinds: new and known sessions, answers, hairpins and what must be dropped.
Sent any_packet(Dice& random) {
  const std::uint8_t protocol = all_protocols[random.below(3)];
  const NamespaceId id = 1 + random.below(3);
  const Peer internal = internal_of(random);
  const Peer external{external_host, static_cast<std::uint16_t>(40000 + random.below(128))};
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2:
      return {Direction::outbound, id, opening(protocol, internal, remote_of(random))};
    case 3:
    case 4:
    case 5:
      return {Direction::inbound, 0, answer(protocol, remote_of(random), external)};
    case 6:
      return {Direction::hairpin, id, opening(protocol, internal, external)};
    default: {
      Bytes odd = opening(protocol, internal, remote_of(random));
      odd[random.below(static_cast<std::uint32_t>(odd.size()))] ^= 0x41;
      return {random.one_in(2) ? Direction::outbound : Direction::inbound, id, odd};
    }
  }
}

Policy small_policy(Filtering filtering) {
  Policy policy = roomy_policy();
  policy.ports = {40000, 40127};
  policy.filtering = filtering;
  return policy;
}

std::vector<Sent> translated(Gateway& gateway, std::vector<Sent> all, std::uint32_t batch_max) {
  Dice random(batch_max);
  std::size_t done = 0;
  while (done < all.size()) {
    const std::size_t size = std::min<std::size_t>(1 + random.below(batch_max), all.size() - done);
    std::vector<Packet> packets;
    for (std::size_t i = done; i < done + size; ++i) {
      packets.push_back(
          {.bytes = all[i].bytes, .namespace_id = all[i].id, .direction = all[i].direction});
    }
    gateway.engine.translate(packets, gateway.now);
    for (std::size_t i = 0; i < size; ++i) {
      all[done + i].reason = packets[i].reason;
      all[done + i].id = packets[i].namespace_id;
    }
    done += size;
  }
  return all;
}

}  // namespace

TEST_CASE("batch: packets together get what they get one by one") {
  for (const std::uint32_t shards : {1U, 2U, 8U}) {
    for (const Filtering filtering :
         {Filtering::endpoint_independent, Filtering::address_dependent}) {
      for (const std::uint32_t batch_max : {2U, 17U, 64U, 300U}) {
        CAPTURE(shards);
        CAPTURE(batch_max);
        Dice random(shards + batch_max);
        std::vector<Sent> all;
        for (int i = 0; i < 4000; ++i) all.push_back(any_packet(random));
        Gateway alone(small_policy(filtering), options_of(shards));
        Gateway together(small_policy(filtering), options_of(shards));
        const std::vector<Sent> one_by_one = translated(alone, all, 1);
        const std::vector<Sent> batched = translated(together, all, batch_max);
        std::size_t different = 0;
        for (std::size_t i = 0; i < all.size(); ++i) {
          different += one_by_one[i].reason != batched[i].reason ||
                       one_by_one[i].bytes != batched[i].bytes || one_by_one[i].id != batched[i].id;
        }
        CHECK_EQ(different, 0);
        CHECK((alone.engine.counters() == together.engine.counters()));
        CHECK_EQ(alone.engine.session_count(), together.engine.session_count());
      }
    }
  }
}

TEST_CASE("batch: the one-packet forms do what a batch of one does") {
  Dice random(3);
  Gateway batched(small_policy(Filtering::address_dependent), options_of(2));
  Gateway single(small_policy(Filtering::address_dependent), options_of(2));
  for (int i = 0; i < 4000; ++i) {
    Sent sent = any_packet(random);
    if (sent.direction == Direction::hairpin) continue;
    Bytes bytes = sent.bytes;
    const Outcome wanted = batched.translate(sent.direction, sent.id, sent.bytes);
    if (sent.direction == Direction::outbound) {
      REQUIRE_EQ(single.engine.outbound(bytes, sent.id, single.now).reason, wanted.reason);
    } else {
      const Engine::Outcome got = single.engine.inbound(bytes, single.now);
      REQUIRE_EQ(got.reason, wanted.reason);
      if (wanted.accepted()) REQUIRE_EQ(got.namespace_id, wanted.namespace_id);
    }
    REQUIRE((bytes == wanted.bytes));
  }
  CHECK((batched.engine.counters() == single.engine.counters()));
}

TEST_CASE("batch: many packets of one new session make one session, in order") {
  for (const std::uint8_t protocol : all_protocols) {
    Gateway gateway;
    std::vector<Sent> all(100, Sent{Direction::outbound, blue, opening(protocol, client, server)});
    all = translated(gateway, all, 100);
    const Peer external = source_of(all[0].bytes);
    for (const Sent& sent : all) {
      REQUIRE_EQ(sent.reason, Reason::translated_outbound);
      REQUIRE_EQ(source_of(sent.bytes), external);
    }
    CHECK_EQ(gateway.engine.session_count(), 1);
  }
}

TEST_CASE("batch: a connection's whole life in one batch") {
  Policy policy = roomy_policy();
  policy.timeouts.tcp_transitory = 0ms;
  Gateway gateway(policy);
  const auto out = [](std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledgment) {
    return Sent{Direction::outbound, blue,
                tcp(client, server,
                    {.flags = flags, .sequence = sequence, .acknowledgment = acknowledgment})};
  };
  std::vector<Sent> all{out(0x02, 100, 0), out(0x10, 101, 901), out(0x04, 101, 0),
                        out(0x10, 101, 901), out(0x02, 500, 0)};
  Packet packets[5];
  for (std::size_t i = 0; i < all.size(); ++i) {
    packets[i] = {.bytes = all[i].bytes, .namespace_id = blue};
  }
  gateway.engine.translate(packets, gateway.now);
  const Reason accepted = Reason::translated_outbound;
  const Reason wanted[] = {accepted, accepted, accepted, Reason::tcp_not_syn, accepted};
  for (std::size_t i = 0; i < 5; ++i) CHECK_EQ(packets[i].reason, wanted[i]);
  CHECK_EQ(gateway.engine.session_count(), 1);
}

TEST_CASE("batch: an empty one is nothing") {
  Gateway gateway;
  gateway.engine.translate({}, gateway.now);
  CHECK((gateway.engine.counters() == Counters{}));
}

TEST_CASE("batch: every packet is counted once, by its reason") {
  Dice random(8);
  std::vector<Sent> all;
  for (int i = 0; i < 3000; ++i) all.push_back(any_packet(random));
  Gateway gateway(small_policy(Filtering::endpoint_independent), options_of(4));
  all = translated(gateway, all, 64);
  Counters wanted{};
  for (const Sent& sent : all) ++wanted[static_cast<std::size_t>(sent.reason)];
  CHECK((gateway.engine.counters() == wanted));
}

TEST_CASE("batch: a packet with options is not overtaken by what its session sends behind it") {
  for (const auto transitory : {240'000ms, 0ms}) {
    CAPTURE(transitory.count());
    Policy policy = roomy_policy();
    policy.timeouts.tcp_transitory = transitory;
    Gateway gateway(policy);
    Connection connection{gateway};
    connection.handshake();
    const TcpFields data{.flags = ack, .sequence = 1001, .acknowledgment = 5001};
    const TcpFields reset{.flags = rst | ack, .sequence = 1010, .acknowledgment = 5001};
    Bytes bytes[] = {tcp(client, server, data, payload_of(9), {.options = {1, 1, 1, 0}}),
                     tcp(client, server, reset)};
    Packet packets[] = {{.bytes = bytes[0], .namespace_id = blue},
                        {.bytes = bytes[1], .namespace_id = blue}};
    gateway.engine.translate(packets, gateway.now);
    CHECK_EQ(packets[0].reason, Reason::translated_outbound);
    CHECK_EQ(packets[1].reason, Reason::translated_outbound);
    CHECK_EQ(connection.state(), transitory.count() == 0 ? "none" : "reset");
  }
}
