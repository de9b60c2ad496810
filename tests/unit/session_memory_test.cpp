#include "engine/session_memory.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "tests/unit/dice.h"
#include "tests/unit/gateway.h"
#include "tests/unit/memory_block.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Policy policy_of_ports(PortRange ports) {
  Policy policy = roomy_policy();
  policy.ports = ports;
  return policy;
}

struct Owner {
  std::uint8_t protocol;
  NamespaceId id;
  Peer internal;
};

}  // namespace

TEST_CASE("session_memory: a killed engine's sessions go on in the next one") {
  for (const std::uint32_t shards : {1U, 4U}) {
    CAPTURE(shards);
    EngineOptions options = options_of(shards, 1024);
    options.populate = shards == 4;  // which must not touch what is there
    Memory memory(options);
    std::map<std::pair<std::uint8_t, std::uint16_t>, Owner> owners;
    Gateway before(roomy_policy(), memory.given_to(options));
    Dice random(1);
    for (int i = 0; i < 300; ++i) {
      const Owner owner{all_protocols[random.below(3)], 1 + random.below(4),
                        at(client, static_cast<std::uint16_t>(1000 + random.below(100)))};
      const Peer external = before.open(owner.protocol, owner.id, owner.internal, server);
      owners[{owner.protocol, external.port}] = owner;
    }
    Memory left_behind = memory;  // as it was at the moment of death
    EngineOptions next = left_behind.given_to(options);
    next.secret[0] ^= 0xabcd;  // another process has another secret
    Gateway after(roomy_policy(), next);
    after.now = before.now + 5s;
    CHECK_EQ(after.engine.session_count(), owners.size());
    for (NamespaceId id = 1; id <= 4; ++id) {
      CHECK_EQ(after.session_count(id), before.session_count(id));
    }
    for (const auto& [key, owner] : owners) {
      const Peer external{external_host, key.second};
      CHECK(after.answers(owner.protocol, server, external, owner.id, owner.internal));
      CHECK_EQ(after.open(owner.protocol, owner.id, owner.internal, at(server, 443)), external);
    }
  }
}

TEST_CASE("session_memory: ports that were taken over are not handed out again") {
  const EngineOptions options = options_of(2, 64);
  Memory memory(options);
  const Policy policy = policy_of_ports({40000, 40015});
  {
    Gateway before(policy, memory.given_to(options));
    for (std::uint16_t port = 1000; port < 1010; ++port) {
      before.open(protocol::udp, blue, at(client, port), server);
    }
  }
  Gateway after(policy, memory.given_to(options));
  std::set<std::uint16_t> ports;
  for (const SessionView& view : after.sessions()) ports.insert(view.external.port);
  for (std::uint16_t port = 1010; port < 1016; ++port) {
    ports.insert(after.open(protocol::udp, blue, at(client, port), server).port);
  }
  CHECK_EQ(ports.size(), 16);
  CHECK_EQ(after.out(blue, udp(client, server)).reason, Reason::no_free_port);
}

TEST_CASE("session_memory: a namespace that is gone is not taken over") {
  const EngineOptions options = options_of(1, 64);
  Memory memory(options);
  {
    Gateway before(roomy_policy(), memory.given_to(options));
    before.open(protocol::udp, blue, client, server);
    before.open(protocol::udp, green, client, server);
  }
  Policy without_blue = roomy_policy();
  without_blue.namespaces[0].first = green;
  Gateway after(without_blue, memory.given_to(options));
  CHECK_EQ(after.engine.session_count(), 1);
  CHECK_EQ(after.session_count(green), 1);
}

TEST_CASE("session_memory: timeouts, states and limits go on") {
  const EngineOptions options = options_of(2, 64);
  Memory memory(options);
  Policy policy = roomy_policy();
  policy.namespaces[0].session_limit = 2;
  Peer external;
  Time last;
  {
    Gateway before(policy, memory.given_to(options));
    external = before.open(protocol::tcp, blue, client, server);
    REQUIRE(before.answers(protocol::tcp, server, external, blue, client));
    before.travel(1s);
    before.open(protocol::udp, blue, client, server);
    last = before.now;
  }
  Gateway after(policy, memory.given_to(options));
  after.now = last + 10s;
  for (const SessionView& view : after.sessions()) {
    const bool is_tcp = view.protocol == protocol::tcp;
    CHECK_EQ(view.state, is_tcp ? "established" : "active");
    CHECK_EQ(view.idle, is_tcp ? 11s : 10s);
  }
  // The least recently active is known too.
  after.open(protocol::icmp, blue, client, server);
  CHECK_EQ(after.session_count(blue), 2);
  for (const SessionView& view : after.sessions()) CHECK_NE(view.protocol, protocol::tcp);
  after.travel(5min + 1s);
  after.expire_all();
  after.travel(2s);
  after.expire_all();
  CHECK_EQ(after.engine.session_count(), 0);
}

TEST_CASE("session_memory: freed places and everything else work after a takeover") {
  const EngineOptions options = options_of(1, 100);
  Memory memory(options);
  Time now = 1'000'000ms;
  for (int life = 0; life < 6; ++life) {
    Gateway gateway(roomy_policy(), memory.given_to(options));
    gateway.now = now;
    gateway.expire_all();
    Dice random(static_cast<std::uint32_t>(life));
    for (int i = 0; i < 400; ++i) {
      gateway.travel(5s);
      gateway.open(protocol::udp, 1 + random.below(3), at(client, random.word() | 1), server);
      gateway.expire_all();
    }
    CHECK_LE(gateway.engine.session_count(), 62);
    CHECK_GE(gateway.engine.session_count(), 59);
    now = gateway.now;
  }
}

TEST_CASE("session_memory: of another configuration it is refused, and left as it was") {
  const EngineOptions options = options_of(2, 64);
  Memory memory(options);
  {
    Gateway before(roomy_policy(), memory.given_to(options));
    before.open(protocol::udp, blue, client, server);
  }
  const Memory untouched = memory;
  const auto attach = [&](const EngineOptions& other, Policy policy) {
    Engine engine(memory.given_to(other), std::make_shared<const Policy>(std::move(policy)));
  };
  CHECK_THROWS_AS(attach(options, policy_of_ports({40000, 50000})), SessionMemoryError);
  Policy elsewhere = roomy_policy();
  elsewhere.external.v4 = {Host::of(203, 0, 113, 9)};
  CHECK_THROWS_AS(attach(options, elsewhere), SessionMemoryError);
  CHECK_THROWS_AS(attach(options_of(1, 64), roomy_policy()), std::runtime_error);
  EngineOptions rebooted = options;
  rebooted.time_epoch = 7;
  CHECK_THROWS_AS(attach(rebooted, roomy_policy()), SessionMemoryError);
  CHECK(memory.same_as(untouched));
  CHECK_EQ(Gateway(roomy_policy(), memory.given_to(options)).engine.session_count(), 1);
}

TEST_CASE("session_memory: of the wrong size or alignment it is refused") {
  const EngineOptions options = options_of(1, 64);
  Memory memory(options);
  const auto attach = [&](std::span<std::byte> bytes) {
    EngineOptions given = options;
    given.session_memory = bytes;
    Engine engine(given, std::make_shared<const Policy>(roomy_policy()));
  };
  const std::size_t size = Engine::session_memory_size(options, roomy_policy());
  CHECK_THROWS(attach(memory.bytes().first(size - 64)));
  CHECK_THROWS(attach(memory.bytes().subspan(1)));
}

TEST_CASE("session_memory: a record with a field out of its range is not taken over") {
  const EngineOptions options = options_of(1, 1024);
  for (const std::uint8_t scale : {std::uint8_t{14}, std::uint8_t{15}, std::uint8_t{255}}) {
    CAPTURE(int{scale});
    Memory memory(options);
    Gateway before(roomy_policy(), memory.given_to(options));
    before.open(protocol::tcp, blue, client, server);
    Memory left_behind = memory;
    std::byte* const record = left_behind.bytes().data() + session_memory_header_size;
    reinterpret_cast<Session<Ipv4>*>(record)->remote_receiver.scale = scale;
    Gateway after(roomy_policy(), left_behind.given_to(options));
    CHECK_EQ(after.engine.session_count(), scale <= 14 ? 1 : 0);
  }
}
