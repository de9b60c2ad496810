// Ports in blocks (RFC 7422, RFC 6888 REQ-14): whose they are, when there is another one, and when
// one may become somebody else's.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "tests/support/families.h"
#include "tests/support/listener.h"
#include "tests/support/memory_block.h"
#include "tests/support/port_takers.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr NamespaceId plain = 3;  // is to have no blocks, and gets the smallest
constexpr Mapping mappings[] = {Mapping::endpoint_independent, Mapping::address_and_port_dependent};

// 40000 is where a block of 64 begins.
Policy in_blocks(std::uint32_t size, const PortRanges& ports = {40000, 40255}) {
  Policy policy = policy_of_both();
  policy.ports = ports;
  policy.namespaces = {{.first = blue, .last = green, .session_limit = 10'000, .port_block = size},
                       {.first = plain, .last = plain, .session_limit = 10'000}};
  return policy;
}

std::vector<PortBlockView> blocks_of(const Gateway& gateway, NamespaceId id) {
  std::vector<PortBlockView> blocks = gateway.engine.port_blocks();
  std::erase_if(blocks, [&](const PortBlockView& one) { return one.namespace_id != id; });
  return blocks;
}

// Each session's port is in a block of its namespace, and no port is in two.
void check_blocks(Gateway& gateway) {
  const auto blocks = gateway.engine.port_blocks();
  std::map<std::pair<std::string, std::uint16_t>, NamespaceId> owners;
  for (const PortBlockView& one : blocks) {
    const std::uint32_t size = size_of(one.ports);
    CHECK(std::has_single_bit(size));
    CHECK_EQ(one.ports.first % size, 0);
    for (std::uint32_t port = one.ports.first; port <= one.ports.last; ++port) {
      CHECK(owners
                .try_emplace({to_text(one.external), static_cast<std::uint16_t>(port)},
                             one.namespace_id)
                .second);
    }
  }
  for (const SessionView& one : gateway.sessions()) {
    const auto found = owners.find({to_text(one.external.address), one.external.port});
    REQUIRE(found != owners.end());
    CHECK_EQ(found->second, one.namespace_id);
  }
}

// UDP mappings of internal ports from `first` on; returns the external ones.
std::vector<std::uint16_t> open_some(Gateway& gateway, NamespaceId id, std::uint32_t first,
                                     std::uint32_t count) {
  std::vector<std::uint16_t> ports;
  for (std::uint32_t port = first; port < first + count; ++port) {
    const Peer internal = at(client, static_cast<std::uint16_t>(port));
    ports.push_back(gateway.open(protocol::udp, id, internal, server).port);
  }
  return ports;
}

}  // namespace

TEST_CASE_TEMPLATE("port_blocks: all protocols' ports of a namespace are in its block", F, V4, V6) {
  for (const Mapping mapping : mappings) {
    for (const std::uint32_t shards : {1U, 4U}) {
      Policy policy = in_blocks(64);
      policy.mapping = mapping;
      Gateway gateway(policy, options_of(shards));
      CHECK(gateway.engine.port_blocks().empty());
      for (std::uint16_t port = 1000; port < 1012; ++port) {
        for (const NamespaceId id : {blue, green, plain}) {
          for (const std::uint8_t protocol : all_protocols) {
            const auto external =
                open<F>(gateway, protocol, id, at(F::client(), port), F::server());
            CHECK(answers<F>(gateway, protocol, F::server(), external, id, at(F::client(), port)));
          }
        }
      }
      check_blocks(gateway);
      CHECK_EQ(gateway.engine.port_blocks().size(), 3);
      CHECK_EQ(gateway.use_of(blue).port_blocks, 1);
      CHECK_EQ(gateway.use_of(blue).port_block, 64);
      CHECK_EQ(gateway.use_of(plain).port_blocks, 1);
      CHECK_EQ(gateway.use_of(plain).port_block, 0);
      const PortBlockView own = blocks_of(gateway, green).front();
      CHECK(own.external == IpAddress{F::external()});
      CHECK_EQ(size_of(own.ports), 64);
      CHECK_FALSE(own.rests);
    }
  }
}

TEST_CASE("port_blocks: there is another only when no port of the owner's is free") {
  for (const std::uint32_t shards : {1U, 2U, 8U}) {
    for (const std::uint32_t size : {64U, 128U}) {
      // Of one shard, or of all.
      for (const std::uint32_t step : {1U, 2 * shards}) {
        CAPTURE(shards);
        CAPTURE(size);
        CAPTURE(step);
        Gateway gateway(in_blocks(size, {32768, 40959}), options_of(shards));
        for (std::uint32_t count = 1; count <= 3 * size; ++count) {
          const auto port = static_cast<std::uint16_t>(1024 + count * step);
          REQUIRE_EQ(gateway.try_open(blue, port), Reason::translated_outbound);
          REQUIRE_EQ(blocks_of(gateway, blue).size(), (count + size - 1) / size);
        }
        // TCP has all of these to itself.
        for (std::uint32_t count = 1; count <= 3 * size; ++count) {
          const auto port = static_cast<std::uint16_t>(1024 + count * step);
          gateway.open(protocol::tcp, blue, at(client, port), server);
        }
        CHECK_EQ(blocks_of(gateway, blue).size(), 3);
        check_blocks(gateway);
      }
    }
  }
}

TEST_CASE("port_blocks: a port that comes back in a full block is found again") {
  Policy policy = in_blocks(64, {32768, 40959});
  policy.timeouts.udp = 1h;
  policy.timeouts.tcp_transitory = 0s;
  Gateway gateway(policy, options_of(2));
  open_some(gateway, blue, 1024, 640);
  REQUIRE_EQ(blocks_of(gateway, blue).size(), 10);
  for (std::uint16_t port = 1024; port < 1024 + 640; ++port) {
    gateway.open(protocol::icmp, blue, at(client, port), server);
  }
  gateway.travel(1min);  // the pings are over
  gateway.expire_all();
  gateway.travel(1s);
  gateway.expire_all();
  REQUIRE_EQ(gateway.engine.session_count(), 640);
  for (std::uint16_t port = 2000; port < 2000 + 640; ++port) {
    gateway.open(protocol::icmp, blue, at(client, port), server);
  }
  CHECK_EQ(blocks_of(gateway, blue).size(), 10);
  check_blocks(gateway);
}

TEST_CASE("port_blocks: the internal port is kept where it is the owner's, and parity and class") {
  Gateway gateway(in_blocks(64, PortRanges({{640, 703}, {32768, 40959}})), options_of(4));
  const std::uint16_t first = gateway.open(protocol::udp, blue, at(client, 3000), server).port;
  const std::uint32_t begin = first & ~63u;
  for (std::uint32_t port = begin; port < begin + 64; ++port) {
    const auto own = static_cast<std::uint16_t>(port);
    if (own == first) continue;
    CHECK_NE(gateway.open(protocol::udp, green, at(client, own), server).port, own);
    CHECK_EQ(gateway.open(protocol::udp, blue, at(client, own), server).port, own);
  }
  for (std::uint16_t port = 2000; port < 2020; ++port) {
    CHECK_EQ(gateway.open(protocol::tcp, blue, at(client, port), server).port % 2, port % 2);
  }
  for (std::uint16_t port = 100; port < 120; ++port) {
    CHECK_LT(gateway.open(protocol::udp, blue, at(client, port), server).port, 1024);
  }
  check_blocks(gateway);
}

TEST_CASE("port_blocks: one tenant's blocks are bounded by its port_limit, and others are served") {
  Policy policy = in_blocks(64);
  policy.namespaces = {
      {.first = blue, .last = blue, .session_limit = 10'000, .port_limit = 128, .port_block = 64},
      {.first = green, .last = green, .session_limit = 10'000, .port_block = 64}};
  policy.timeouts.udp = 1s;
  Gateway gateway(policy, options_of(4));
  // Ever new mappings of a tenant that is never over its limit for longer than they last.
  for (int round = 0; round < 20; ++round) {
    for (std::uint16_t i = 0; i < 200; ++i) {
      const auto port = static_cast<std::uint16_t>(1024 + 200 * round + i);
      CHECK_EQ(gateway.try_open(blue, port),
               i < 128 ? Reason::translated_outbound : Reason::port_limit);
    }
    CHECK_EQ(blocks_of(gateway, blue).size(), 2);
    CHECK_EQ(gateway.try_open(green, static_cast<std::uint16_t>(2000 + round)),
             Reason::translated_outbound);
    gateway.travel(1s);
    gateway.expire_all();
    gateway.travel(1s);
    gateway.expire_all();
  }
  CHECK_EQ(gateway.count(Reason::no_free_port), 0);
  check_blocks(gateway);
}

TEST_CASE(
    "port_blocks: when all are in use there is no free port, and what rests keeps nobody out") {
  for (const Mapping mapping : mappings) {
    Policy policy = in_blocks(64);
    policy.mapping = mapping;
    Gateway gateway(policy, options_of(1));
    open_some(gateway, blue, 1024, 200);
    const std::size_t first = blocks_of(gateway, blue).size();
    for (std::uint16_t port = 1224; port < 1280; ++port) gateway.try_open(blue, port);
    REQUIRE_EQ(blocks_of(gateway, blue).size(), 4);
    CHECK_EQ(first, 4);
    CHECK_EQ(gateway.try_open(green, 1000), Reason::no_free_port);
    gateway.end_all();
    CHECK_EQ(blocks_of(gateway, blue).size(), 4);
    for (const PortBlockView& one : blocks_of(gateway, blue)) CHECK(one.rests);
    CHECK_EQ(gateway.try_open(green, 1000), Reason::translated_outbound);
    CHECK_EQ(blocks_of(gateway, blue).size(), 3);
    check_blocks(gateway);
  }
}

TEST_CASE(
    "port_blocks: a block rests before another has it, and the one that rested longest goes") {
  Policy policy = in_blocks(64, {40000, 40127});  // two blocks
  policy.timeouts.udp = 1s;
  Gateway gateway(policy);
  open_some(gateway, blue, 1024, 65);
  const auto two = blocks_of(gateway, blue);
  REQUIRE_EQ(two.size(), 2);
  // Only the block of the last port is in use on.
  const auto last = [&] {
    for (const SessionView& one : gateway.sessions()) {
      if (one.internal.port == 1088) return one.external.port;
    }
    return std::uint16_t{0};
  }();
  const auto rests = [&](bool is_last) {
    for (const PortBlockView& one : gateway.engine.port_blocks()) {
      if (is_in(one.ports, last) == is_last) return one.rests;
    }
    return false;
  };
  for (int i = 0; i < 4; ++i) {
    gateway.travel(500ms);
    CHECK_EQ(gateway.try_open(blue, 1088), Reason::translated_outbound);
    gateway.expire_all();
  }
  CHECK(rests(false));
  CHECK_FALSE(rests(true));
  gateway.end_all();
  CHECK(rests(true));
  // Green gets the one that began to rest first, and plain the other.
  CHECK_EQ(gateway.try_open(green, 1000), Reason::translated_outbound);
  REQUIRE_EQ(blocks_of(gateway, blue).size(), 1);
  CHECK(is_in(blocks_of(gateway, blue).front().ports, last));
  CHECK_EQ(gateway.try_open(plain, 1000), Reason::translated_outbound);
  CHECK(blocks_of(gateway, blue).empty());
  CHECK_EQ(gateway.try_open(blue, 1000), Reason::no_free_port);
}

TEST_CASE("port_blocks: of low and high ones that rest the one that rested longest goes") {
  for (const bool low_rests_first : {true, false}) {
    Gateway gateway(in_blocks(64, PortRanges({{640, 703}, {40000, 40063}})));
    const auto open = [&](bool low) {
      const Peer internal = at(client, low ? 80 : 8080);
      return gateway.open(protocol::udp, blue, internal, server).port;
    };
    const std::uint16_t first = open(low_rests_first);
    gateway.travel(10s);
    open(!low_rests_first);
    for (const Time step : {Time(290'000), Time(1000), Time(9000), Time(1000)}) {
      gateway.travel(step);
      gateway.expire_all();
    }
    REQUIRE_EQ(gateway.engine.session_count(), 0);
    // An identifier may be any.
    const std::uint16_t got = gateway.open(protocol::icmp, green, at(client, 5000), server).port;
    CHECK_EQ(got < 1024, first < 1024);
  }
}

TEST_CASE("port_blocks: while others are free nobody has one that rests, but its owner") {
  for (const Mapping mapping : mappings) {
    for (int run = 0; run < 20; ++run) {
      Policy policy = in_blocks(64);
      policy.mapping = mapping;
      Gateway gateway(policy);
      gateway.now += Time(run * 7'777'777);
      open_some(gateway, blue, 1024, 3);
      const PortRange block = blocks_of(gateway, blue).front().ports;
      gateway.end_all();
      CHECK(blocks_of(gateway, blue).front().rests);
      const std::uint16_t other = gateway.open(protocol::udp, green, at(client, 1000), server).port;
      CHECK_FALSE(is_in(block, other));
      // Its owner takes no other.
      CHECK(is_in(block, gateway.open(protocol::udp, blue, at(client, 2000), server).port));
      CHECK_EQ(blocks_of(gateway, blue).size(), 1);
      CHECK_FALSE(blocks_of(gateway, blue).front().rests);
    }
  }
}

TEST_CASE("port_blocks: while a block is in use none that rests is taken up") {
  for (const std::size_t which : {0U, 1U}) {
    Gateway gateway(in_blocks(64));
    open_some(gateway, blue, 1024, 65);
    const auto two = blocks_of(gateway, blue);
    REQUIRE_EQ(two.size(), 2);
    gateway.end_all();
    const PortRange used = two[which].ports;
    CHECK_EQ(gateway.open(protocol::udp, blue, at(client, used.first), server).port, used.first);
    for (const std::uint16_t port : open_some(gateway, blue, 1024, 63)) CHECK(is_in(used, port));
    CHECK(blocks_of(gateway, blue)[1 - which].rests);
  }
}

TEST_CASE("port_blocks: a block that has rested is given up without a packet") {
  Gateway gateway(in_blocks(64), options_of(4));
  open_some(gateway, blue, 1024, 3);
  gateway.open(protocol::udp, green, client, server);
  gateway.end_all();
  gateway.travel(port_rest * 1ms - 1001ms);
  gateway.expire_all();
  CHECK_EQ(gateway.engine.port_blocks().size(), 2);
  gateway.travel(1001ms);
  gateway.expire_all();
  CHECK(gateway.engine.port_blocks().empty());
}

TEST_CASE("port_blocks: of a block that lies partly outside the ports only those inside are had") {
  const PortRanges ranges({{40010, 40020}, {40100, 40100}, {50000, 50001}});
  Gateway gateway(in_blocks(64, ranges), options_of(2));
  std::set<std::uint16_t> ports;
  for (const std::uint16_t port : open_some(gateway, blue, 1024, 14)) {
    CHECK(ranges.contains(port));
    ports.insert(port);
  }
  CHECK_EQ(ports.size(), 14);
  CHECK_EQ(blocks_of(gateway, blue).size(), 3);
  CHECK_EQ(gateway.try_open(blue, 2000), Reason::no_free_port);
  CHECK_EQ(gateway.try_open(green, 2000), Reason::no_free_port);
  check_blocks(gateway);
}

TEST_CASE("port_blocks: a block of both classes serves each with its own ports") {
  Gateway gateway(in_blocks(2048, {1000, 1100}));
  const std::uint16_t low = gateway.open(protocol::udp, blue, at(client, 80), server).port;
  const std::uint16_t high = gateway.open(protocol::udp, blue, at(client, 8080), server).port;
  CHECK_LT(low, 1024);
  CHECK_GE(high, 1024);
  CHECK_EQ(blocks_of(gateway, blue).size(), 1);
  CHECK_EQ(gateway.try_open(green, 8080), Reason::no_free_port);
}

TEST_CASE("port_blocks: where no whole block is left, a smaller one is better than none") {
  for (const Mapping mapping : mappings) {
    Policy policy = in_blocks(64, {32768, 33279});
    policy.mapping = mapping;
    policy.namespaces[1].port_block = 512;
    Gateway gateway(policy, options_of(2));
    gateway.open(protocol::udp, blue, client, server);
    const std::uint16_t port = gateway.open(protocol::udp, plain, client, server).port;
    CHECK_FALSE(is_in(blocks_of(gateway, blue).front().ports, port));
    REQUIRE_EQ(blocks_of(gateway, plain).size(), 1);
    CHECK_EQ(size_of(blocks_of(gateway, plain).front().ports), 256);
    // And of a large one that rests a part.
    gateway.end_all();
    for (std::uint16_t one = 0; one < 5; ++one) {
      CHECK_EQ(gateway.try_open(plain, static_cast<std::uint16_t>(1000 + one)),
               Reason::translated_outbound);
    }
    CHECK_EQ(gateway.try_open(green, 1000), Reason::translated_outbound);
    CHECK_EQ(size_of(blocks_of(gateway, green).front().ports), 64);
  }
}

TEST_CASE(
    "port_blocks: what is left of a large one that rests, of which others get parts, rests on") {
  for (const Mapping mapping : mappings) {
    for (const std::uint32_t first : {1U, 32768U}) {
      const auto last = static_cast<std::uint16_t>(first | 2047U);
      Policy policy = in_blocks(64, {static_cast<std::uint16_t>(first), last});
      policy.mapping = mapping;
      policy.namespaces.push_back(
          {.first = 4, .last = 4, .session_limit = 10'000, .port_block = 2048});
      policy.namespaces.push_back(
          {.first = 5, .last = 5, .session_limit = 10'000, .port_block = 512});
      Gateway gateway(policy, options_of(2));
      // Who asks for a low port gets what reaches into them.
      if (first == 1 && mapping != Mapping::endpoint_independent) continue;
      open_some(gateway, 4, first == 1 ? 80 : 2000, 1);
      REQUIRE_EQ(blocks_of(gateway, 4).size(), 1);
      gateway.end_all();
      Listener listener(gateway, {EventKind::block_taken, EventKind::block_given_up});
      const auto left = [&] {
        std::uint32_t ports = 0;
        for (const PortBlockView& one : blocks_of(gateway, 4)) {
          if (one.rests) ports += size_of(one.ports);
        }
        return ports;
      };
      gateway.travel(10s);
      open_some(gateway, green, 2000, 1);
      CHECK_EQ(left(), 2048 - 64);
      check_blocks(gateway);
      gateway.travel(10s);
      open_some(gateway, 5, 2000, 1);
      CHECK_EQ(left(), 2048 - 64 - 512);
      check_blocks(gateway);
      // Told as they are.
      std::set<std::pair<std::uint16_t, std::uint32_t>> own;
      for (const Event& event : listener.take()) {
        if (event.namespace_id != 4) continue;
        const std::pair block{event.external.port, event.count};
        if (event.kind == EventKind::block_taken) {
          own.insert(block);
        } else if (event.count != 2048) {
          CHECK_EQ(own.erase(block), 1);
        }
      }
      std::set<std::pair<std::uint16_t, std::uint32_t>> are;
      for (const auto& one : blocks_of(gateway, 4)) {
        are.emplace(one.ports.first, size_of(one.ports));
      }
      CHECK(own == are);
      // Its owner may have it back.
      open_some(gateway, 4, 3000, 1);
      CHECK_LT(left(), 2048 - 64 - 512);
      CHECK_GT(left(), 0);
      // It has rested no longer than the whole would have.
      gateway.travel(port_rest * 1ms - 22s);
      gateway.expire_all();
      CHECK_GT(left(), 0);
      gateway.travel(2s);
      gateway.expire_all();
      CHECK_EQ(left(), 0);
      check_blocks(gateway);
    }
  }
}

TEST_CASE("port_blocks: with a mapping for each session a port serves once for each remote") {
  Policy policy = in_blocks(64);
  policy.mapping = Mapping::address_and_port_dependent;
  for (const std::uint32_t shards : {1U, 4U}) {
    Gateway gateway(policy, options_of(shards));
    // Many remotes: a block is enough.
    for (std::uint16_t remote = 1; remote <= 500; ++remote) {
      gateway.open(protocol::udp, blue, client, at(server, remote));
    }
    CHECK_EQ(blocks_of(gateway, blue).size(), 1);
    check_blocks(gateway);
    // One remote: as many sessions as ports of the shard, then another block.
    const std::uint32_t of_shard = 64 / shards;
    std::set<std::uint16_t> ports;
    for (std::uint32_t i = 0; i < 2 * of_shard; ++i) {
      const auto port = static_cast<std::uint16_t>(1024 + i * 2 * shards);
      ports.insert(gateway.open(protocol::udp, green, at(client, port), server).port);
    }
    CHECK_EQ(ports.size(), 2 * of_shard);
    CHECK_EQ(blocks_of(gateway, green).size(), 2);
    check_blocks(gateway);
  }
}

TEST_CASE("port_blocks: with a mapping for each session many blocks are filled before another") {
  Policy policy = in_blocks(64, {32768, 65535});
  policy.mapping = Mapping::address_and_port_dependent;
  Gateway gateway(policy, options_of(1, 30'000));
  for (std::uint16_t port = 1024; port < 1024 + 6400; ++port) {
    gateway.open(protocol::udp, blue, at(client, port), server);
  }
  // 100 blocks would be just enough; only so many ports are looked at.
  CHECK_LE(blocks_of(gateway, blue).size(), 125);
  check_blocks(gateway);
}

TEST_CASE("port_blocks: forwarded and withheld ports in a block are nobody's of it") {
  Policy policy = in_blocks(64, {40000, 40063});
  policy.namespaces.pop_back();
  for (std::uint16_t port = 40000; port < 40010; ++port) {
    policy.forwards.push_back({.protocol = protocol::udp,
                               .external = Peer{external_host, port},
                               .namespace_id = green,
                               .to = Peer{client.address, port}});
  }
  Gateway gateway(policy, options_of(2));
  PortBits withheld;
  for (std::uint16_t port = 40020; port < 40040; ++port) withheld.set(port);
  gateway.engine.withhold(protocol::udp, withheld);
  for (const std::uint16_t port : open_some(gateway, blue, 1024, 34)) {
    CHECK_GE(port, 40010);
    CHECK_FALSE(withheld.test(port));
  }
  CHECK_EQ(gateway.try_open(blue, 2000), Reason::no_free_port);
  CHECK_EQ(gateway.in(udp(server, {external_host, 40003})).reason, Reason::translated_inbound);
  // What is no longer withheld is to be had at once, and what no rule has, once it has rested.
  withheld.reset(40030);
  gateway.engine.withhold(protocol::udp, withheld);
  CHECK_EQ(open_some(gateway, blue, 2000, 1).front(), 40030);
  CHECK_EQ(gateway.try_open(blue, 2001), Reason::no_free_port);
  policy.forwards.pop_back();
  policy.timeouts.udp = 10min;
  gateway.set_policy(policy);
  withheld.reset(40031);
  gateway.engine.withhold(protocol::udp, withheld);
  CHECK_EQ(open_some(gateway, blue, 2001, 1).front(), 40031);
  // What only rests keeps nobody out.
  CHECK_EQ(open_some(gateway, blue, 2002, 1).front(), 40009);
  CHECK_EQ(gateway.try_open(blue, 2003), Reason::no_free_port);
}

TEST_CASE(
    "port_blocks: many ports that were rules' are all to be had, once they rested or before") {
  // With one shard, where they rest in one list, and a clock that is behind.
  for (const bool is_before : {true, false}) {
    Policy policy = in_blocks(64, {40000, 40063});
    policy.namespaces.pop_back();
    policy.timeouts.udp = 1h;
    for (std::uint16_t port = 40000; port < 40062; ++port) {
      policy.forwards.push_back({.protocol = protocol::udp,
                                 .external = Peer{external_host, port},
                                 .namespace_id = green,
                                 .to = Peer{client.address, port}});
    }
    Gateway gateway(policy);
    open_some(gateway, blue, 1024, 2);
    policy.forwards.clear();
    gateway.set_policy(policy);
    if (!is_before) {
      gateway.travel(port_rest * 1ms);
      gateway.expire_all();
      gateway.travel(-50ms);
    }
    open_some(gateway, blue, 2000, 62);
    CHECK_EQ(gateway.try_open(blue, 3000), Reason::no_free_port);
    check_blocks(gateway);
  }
}

TEST_CASE("port_blocks: ports that rest alone outside of blocks keep nobody out") {
  Policy policy = in_blocks(64, {40000, 40063});
  for (std::uint16_t port = 40000; port < 40064; ++port) {
    policy.forwards.push_back({.protocol = protocol::udp,
                               .external = Peer{external_host, port},
                               .namespace_id = green,
                               .to = Peer{client.address, port}});
  }
  Gateway gateway(policy, options_of(4));
  CHECK_EQ(gateway.try_open(blue, 2000), Reason::no_free_port);
  policy.forwards.clear();
  gateway.set_policy(policy);
  open_some(gateway, blue, 2000, 64);
  CHECK_EQ(blocks_of(gateway, blue).size(), 1);
  CHECK_EQ(gateway.try_open(green, 2000), Reason::no_free_port);
  check_blocks(gateway);
}

TEST_CASE("port_blocks: however many blocks are rules' or withheld, one that is free is found") {
  for (const Mapping mapping : mappings) {
    for (const bool is_withheld : {false, true}) {
      Policy policy = in_blocks(64, {32768, 36863});  // 64 blocks
      policy.mapping = mapping;
      PortBits withheld;
      for (std::uint16_t port = 32768; port < 36800; ++port) {
        if (is_withheld) {
          withheld.set(port);
          continue;
        }
        policy.forwards.push_back({.protocol = protocol::udp,
                                   .external = Peer{external_host, port},
                                   .namespace_id = green,
                                   .to = Peer{client.address, port}});
      }
      Gateway gateway(policy);
      gateway.engine.withhold(protocol::udp, withheld);
      CHECK_GE(open_some(gateway, blue, 2000, 1).front(), 36800);
      CHECK_EQ(gateway.try_open(green, 2000), Reason::no_free_port);
      // Other protocols have them.
      gateway.open(protocol::tcp, green, at(client, 2000), server);
      check_blocks(gateway);
    }
  }
}

TEST_CASE("port_blocks: what reaches into the low ports is left to who needs these") {
  for (const std::uint32_t size : {64U, 1024U, 4096U}) {
    for (const std::uint8_t protocol : {protocol::udp, protocol::icmp}) {
      Gateway gateway(in_blocks(size, {512, 16383}));
      for (NamespaceId id : {blue, green}) {
        std::uint16_t host = 0;
        // Three of the four runs of 4096, or as much of smaller ones.
        for (std::uint32_t opened = 0; opened < 3 * 1024; ++opened) {
          const Peer internal{Host::of(10, 0, 1, static_cast<std::uint8_t>(host++ / 250)),
                              static_cast<std::uint16_t>(2000 + opened)};
          CHECK_GE(gateway.open(protocol, id, internal, server).port, 1024);
        }
      }
      CHECK_LT(gateway.open(protocol::udp, plain, at(client, 80), server).port, 1024);
      check_blocks(gateway);
    }
  }
}

TEST_CASE("port_blocks: small blocks do not break up what large ones need") {
  for (const Mapping mapping : mappings) {
    for (int run = 0; run < 10; ++run) {
      Policy policy = in_blocks(512, {32768, 36863});  // 8 of them
      policy.mapping = mapping;
      policy.namespaces.back().last = 40;
      EngineOptions options = options_of(1);
      options.secret[1] += static_cast<std::uint64_t>(run);
      Gateway gateway(policy, options);
      for (NamespaceId id = plain; id < plain + 16; ++id) open_some(gateway, id, 2000, 1);
      std::set<std::uint16_t> runs;
      for (const PortBlockView& one : gateway.engine.port_blocks())
        runs.insert(one.ports.first / 512);
      CHECK_EQ(runs.size(), 2);
      for (const NamespaceId id : {blue, green}) {
        open_some(gateway, id, 2000, 1);
        CHECK_EQ(size_of(blocks_of(gateway, id).front().ports), 512);
      }
    }
  }
}

TEST_CASE("port_blocks: the port behind a gap is no easier to guess than others") {
  // Of the block 40000 to 40063 the first and the last 8.
  const PortRanges ranges({{40000, 40007}, {40056, 40063}});
  int behind = 0;
  constexpr int runs = 400;
  for (int run = 0; run < runs; ++run) {
    EngineOptions options = options_of(1);
    options.secret[1] += static_cast<std::uint64_t>(run) * 0x9e37'79b9'7f4a'7c15;
    Gateway gateway(in_blocks(64, ranges), options);
    behind += gateway.open(protocol::udp, blue, at(client, 2000), server).port == 40056 ? 1 : 0;
  }
  CHECK_LT(behind, runs / 4);  // of 8
}

TEST_CASE("port_blocks: a reload changes the size of new blocks") {
  for (const Mapping mapping : mappings) {
    Policy policy = in_blocks(64, {32768, 40959});
    policy.mapping = mapping;
    Gateway gateway(policy, options_of(2));
    for (const NamespaceId id : {blue, green, plain}) open_some(gateway, id, 1024, 10);
    policy.namespaces[0].port_block = 256;
    gateway.set_policy(policy);
    CHECK_EQ(gateway.engine.session_count(), 30);
    CHECK_EQ(size_of(blocks_of(gateway, blue).front().ports), 64);
    open_some(gateway, blue, 2000, 100);
    CHECK_EQ(size_of(blocks_of(gateway, blue).front().ports) +
                 size_of(blocks_of(gateway, blue).back().ports),
             64 + 256);
    check_blocks(gateway);
    // Who is to have none any more keeps what it has.
    policy.namespaces[1].port_block = 64;
    policy.namespaces[0].port_block = 0;
    gateway.set_policy(policy);
    CHECK_EQ(gateway.engine.session_count(), 130);
    open_some(gateway, green, 3000, 100);
    check_blocks(gateway);
  }
}

TEST_CASE("port_blocks: whether there are any is fixed, and sizes are checked") {
  const Policy without = in_blocks(0);
  Gateway gateway(in_blocks(64));
  CHECK_THROWS_AS(gateway.set_policy(without), std::invalid_argument);
  Gateway other(without);
  CHECK_THROWS_AS(other.set_policy(in_blocks(64)), std::invalid_argument);
  for (const std::uint32_t size : {1U, 32U, 63U, 65U, 96U, 8192U}) {
    CHECK_THROWS_AS(Gateway{in_blocks(size)}, std::invalid_argument);
    CHECK_THROWS_AS(gateway.set_policy(in_blocks(size)), std::invalid_argument);
  }
  CHECK_THROWS_AS((Gateway{in_blocks(64), options_of(64)}), std::invalid_argument);
  Gateway many(in_blocks(128), options_of(64));
  CHECK_THROWS_AS(many.set_policy(in_blocks(64)), std::invalid_argument);
  CHECK(Gateway{in_blocks(4096)}.engine.port_blocks().empty());
}

TEST_CASE("port_blocks: who takes over sessions has their blocks") {
  for (const Mapping mapping : mappings) {
    Policy policy = in_blocks(64, {32768, 40959});
    policy.mapping = mapping;
    Memory memory(options_of(2), policy);
    const EngineOptions options = memory.given_to(options_of(2));
    std::vector<PortBlockView> known;
    {
      Gateway before(policy, options);
      for (const NamespaceId id : {blue, green, plain}) open_some(before, id, 1024, 30);
      known = before.engine.port_blocks();
    }
    {
      Gateway after(policy, options);
      CHECK_EQ(after.engine.session_count(), 90);
      check_blocks(after);
      const auto same = after.engine.port_blocks();
      REQUIRE_EQ(same.size(), known.size());
      for (std::size_t i = 0; i < same.size(); ++i) CHECK(same[i].ports == known[i].ports);
      open_some(after, blue, 2000, 10);
      check_blocks(after);
      after.end_all();
      CHECK_EQ(after.engine.namespaces().front().ports, 0);
    }
  }
}

TEST_CASE("port_blocks: where sizes differ or changed, taking over loses no session") {
  for (const Mapping mapping : mappings) {
    for (const bool is_changed : {false, true}) {
      Policy policy = in_blocks(64, {32768, 33791});  // 1,024
      policy.mapping = mapping;
      policy.namespaces = {
          {.first = blue, .last = blue, .session_limit = 10'000, .port_block = 64},
          {.first = green, .last = green, .session_limit = 10'000, .port_block = 64},
          {.first = plain, .last = plain, .session_limit = 10'000}};
      Memory memory(options_of(2), policy);
      const EngineOptions options = memory.given_to(options_of(2));
      {
        Gateway before(policy, options);
        for (std::uint16_t port = 1024; port < 1024 + 130; ++port) {
          for (const NamespaceId id : {blue, green, plain}) open_some(before, id, port, 1);
        }
      }
      if (is_changed) policy.namespaces[0].port_block = policy.namespaces[1].port_block = 512;
      Gateway after(policy, options);
      CHECK_EQ(after.engine.session_count(), 390);
      check_blocks(after);
      // As if they had always been these blocks.
      for (const NamespaceId id : {blue, green, plain}) {
        for (const std::uint16_t port : open_some(after, id, 2000, 20)) {
          CHECK(std::ranges::any_of(blocks_of(after, id), [&](const PortBlockView& one) {
            return is_in(one.ports, port) && !one.rests;
          }));
        }
      }
      check_blocks(after);
      after.end_all();
      for (const PortBlockView& one : after.engine.port_blocks()) CHECK(one.rests);
      after.travel(port_rest * 1ms);
      after.expire_all();
      CHECK(after.engine.port_blocks().empty());
    }
  }
}

TEST_CASE("port_blocks: what is taken over becomes as large as new blocks are, but no larger") {
  for (const Mapping mapping : mappings) {
    Policy policy = in_blocks(512, {32768, 40959});
    policy.mapping = mapping;
    Memory memory(options_of(2), policy);
    const EngineOptions options = memory.given_to(options_of(2));
    {
      Gateway before(policy, options);
      open_some(before, blue, 1024, 513);
      open_some(before, green, 1024, 1);
    }
    const auto sizes = [](const Gateway& gateway, NamespaceId id) {
      std::set<std::uint32_t> all;
      for (const PortBlockView& one : blocks_of(gateway, id)) all.insert(size_of(one.ports));
      return all;
    };
    {
      Gateway same(policy, options);
      CHECK_EQ(same.engine.session_count(), 514);
      CHECK_EQ(sizes(same, blue), std::set{512u});
      CHECK_EQ(sizes(same, green), std::set{512u});
      if (mapping == Mapping::endpoint_independent) {
        // A full one is known to be, and what comes back of it is found.
        CHECK_EQ(blocks_of(same, blue).size(), 2);
        open_some(same, blue, 3000, 511);
        CHECK_EQ(blocks_of(same, blue).size(), 2);
        open_some(same, blue, 4000, 1);
        CHECK_EQ(blocks_of(same, blue).size(), 3);
      }
      check_blocks(same);
    }
    policy.namespaces[0].port_block = 64;
    Gateway smaller(policy, options);
    CHECK_EQ(sizes(smaller, green), std::set{64u});
    check_blocks(smaller);
  }
}

TEST_CASE("port_blocks: no session ends for one that can have no port") {
  for (const Mapping mapping : mappings) {
    for (const std::uint32_t shards : {1U, 4U}) {
      Policy policy = in_blocks(64, {40000, 40127});  // two blocks
      policy.mapping = mapping;
      policy.namespaces = {
          {.first = blue, .last = blue, .session_limit = 3, .port_block = 64},
          {.first = green, .last = green, .session_limit = 10'000, .port_block = 64}};
      Gateway gateway(policy, options_of(shards));
      std::uint16_t port = 1024;
      while (blocks_of(gateway, green).size() < 2) open_some(gateway, green, port++, 1);
      // Without ports, so that the one that would end has none to give.
      for (std::uint8_t host = 1; host <= 3; ++host) {
        const Bytes gre = ip_packet(client.address, Host::of(198, 51, 100, host), payload_of(20),
                                    {.protocol = protocol::gre});
        REQUIRE(gateway.out(blue, gre).accepted());
      }
      const auto count_gre = [&] {
        return std::ranges::count(gateway.sessions(), protocol::gre, &SessionView::protocol);
      };
      CHECK_EQ(gateway.try_open(blue, 1000), Reason::no_free_port);
      CHECK_EQ(count_gre(), 3);
      CHECK(blocks_of(gateway, blue).empty());
      // What only rests keeps nobody out.
      Engine::Cursor cursor;
      const SessionPattern pattern{.external = {.ports = blocks_of(gateway, green)[1].ports}};
      while (gateway.engine.end_sessions(pattern, cursor, gateway.now)) {
      }
      CHECK_EQ(gateway.try_open(blue, 1000), Reason::translated_outbound);
      CHECK_EQ(count_gre(), 2);
      CHECK_EQ(blocks_of(gateway, blue).size(), 1);
      // And a port of its own block does.
      CHECK_EQ(gateway.try_open(blue, 1002), Reason::translated_outbound);
      CHECK_EQ(count_gre(), 1);
    }
  }
}

TEST_CASE("port_blocks: of several external addresses each has blocks of its own") {
  Policy policy = in_blocks(64);
  policy.external.v4.push_back(Host::of(203, 0, 113, 2));
  Gateway gateway(policy);
  for (std::uint32_t host = 0; host < 40; ++host) {
    const Peer internal{Host::of(10, 0, 1, static_cast<std::uint8_t>(host)), 5000};
    gateway.open(protocol::udp, blue, internal, server);
  }
  CHECK_EQ(gateway.use_of(blue).port_blocks, 2);
  check_blocks(gateway);
}

TEST_CASE("port_blocks: threads of several shards have the same blocks") {
  for (const Mapping mapping : mappings) {
    Policy policy = in_blocks(64, {32768, 36863});
    policy.mapping = mapping;
    policy.timeouts.udp = 1s;
    constexpr std::uint32_t shards = 4;
    Gateway gateway(policy, options_of(shards));
    const Time begin = gateway.now;
    const auto run = [&](std::uint32_t shard) {
      Time now = begin;
      for (std::uint32_t i = 0; i < 6000; ++i) {
        const auto port = static_cast<std::uint16_t>(1024 + (i % 700) * 2 * shards + shard * 2);
        const NamespaceId id = 1 + i % 3;
        Bytes bytes = udp(at(client, port), server);
        gateway.engine.outbound(bytes, id, now);
        if (i % 100 == 0) now += Time(900);
        if (i % 50 == 0) gateway.engine.expire(shard, now, 1000);
      }
    };
    std::vector<std::thread> threads;
    for (std::uint32_t shard = 0; shard < shards; ++shard) threads.emplace_back(run, shard);
    for (std::thread& thread : threads) thread.join();
    CHECK_GT(gateway.count(Reason::translated_outbound), 6000);
    gateway.now = begin + Time(900 * 60);
    check_blocks(gateway);
    gateway.end_all();
    gateway.travel(port_rest * 1ms);
    gateway.expire_all();
    CHECK(gateway.engine.port_blocks().empty());
    for (const NamespaceUse& use : gateway.engine.namespaces()) CHECK_EQ(use.ports, 0);
  }
}

TEST_CASE("port_blocks: with many blocks and a mapping for each session none ends in vain") {
  Policy policy = in_blocks(64, {32768, 32768 + 64 * 40 - 1});
  policy.mapping = Mapping::address_and_port_dependent;
  policy.timeouts.udp = 1h;
  Gateway gateway(policy, options_of(1, 10'000));
  // Nearly all of the server's ports; a few are free in blocks that are looked at now and then.
  std::uint32_t port = 1024;
  for (int missed = 0; missed < 20; ++port) {
    if (gateway.try_open(blue, static_cast<std::uint16_t>(port)) == Reason::no_free_port) ++missed;
  }
  REQUIRE_EQ(blocks_of(gateway, blue).size(), 40);
  for (std::uint8_t host = 1; host <= 200; ++host) {
    const Bytes gre = ip_packet(client.address, Host::of(198, 51, 100, host), payload_of(20),
                                {.protocol = protocol::gre});
    REQUIRE(gateway.out(blue, gre).accepted());
  }
  policy.namespaces[0].session_limit = gateway.session_count(blue);
  gateway.set_policy(policy);
  int refused = 0;
  for (int i = 0; i < 400; ++i, ++port) {
    const std::uint32_t before = gateway.session_count(blue);
    const std::uint64_t evicted = gateway.count(Reason::translated_outbound);
    const Reason reason = gateway.try_open(blue, static_cast<std::uint16_t>(port));
    CHECK_EQ(gateway.session_count(blue), before);
    CHECK_EQ(gateway.count(Reason::translated_outbound) - evicted,
             reason == Reason::translated_outbound ? 1 : 0);
    refused += reason == Reason::no_free_port ? 1 : 0;
  }
  CHECK_GT(refused, 0);
  CHECK_LT(refused, 400);
}
