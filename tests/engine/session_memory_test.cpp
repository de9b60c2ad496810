#include "engine/session/session_memory.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "tests/support/dice.h"
#include "tests/support/gateway.h"
#include "tests/support/memory_block.h"

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
    EngineOptions next = left_behind.given_to(options, before.now + 5s);
    next.secret[0] ^= 0xabcd;  // another process has another secret
    Gateway after(roomy_policy(), next);
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
    const Peer asked = before.open(protocol::udp, blue, client, server);
    REQUIRE(before.answers(protocol::udp, server, asked, blue, client));
    last = before.now;
  }
  Gateway after(policy, memory.given_to(options, last + 10s));
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

TEST_CASE("session_memory: what is over by the clock is not taken over") {
  const EngineOptions options = options_of(1, 64);
  struct Case {
    Time later;
    std::uint64_t kept;
  };
  // Ticks come round after 49 days and 17 hours, and half of that looks like the future.
  constexpr Time round = Time(std::int64_t{1} << 32);
  for (const Case& c : {Case{0s, 2}, Case{299s, 2}, Case{301s, 1}, Case{2h + 5min, 0},
                        Case{24h * 20, 0}, Case{24h * 30, 0}, Case{round, 0}, Case{round + 1s, 0},
                        Case{round * 1000, 0}, Case{-1s, 2}, Case{-1h, 0}, Case{-round, 0}}) {
    CAPTURE(c.later);
    Memory memory(options);
    Gateway before(roomy_policy(), memory.given_to(options));
    const Peer external = before.open(protocol::tcp, blue, client, server);
    REQUIRE(before.answers(protocol::tcp, server, external, blue, client));
    before.open(protocol::udp, blue, client, server);
    Gateway after(roomy_policy(), memory.given_to(options, before.now + c.later));
    CHECK_EQ(after.engine.session_count(), c.kept);
    if (c.kept != 0) continue;
    CHECK_FALSE(after.answers(protocol::tcp, server, external, blue, client));
  }
}

TEST_CASE("session_memory: how long ago it was used is known, however long that engine lived") {
  const EngineOptions options = options_of(1, 64);
  for (const bool only_expires : {false, true}) {
    Memory memory(options);
    Gateway before(roomy_policy(), memory.given_to(options));
    before.travel(24h * 60);
    if (only_expires) before.expire_all();
    before.open(protocol::udp, blue, client, server);
    const Gateway after(roomy_policy(), memory.given_to(options, before.now + 10s));
    CHECK_EQ(after.engine.session_count(), 1);
  }
}

TEST_CASE("session_memory: a session of the future keeps no other from expiring") {
  const EngineOptions options = options_of(1, 64);
  Memory memory(options);
  {
    Gateway before(roomy_policy(), memory.given_to(options));
    before.open(protocol::udp, blue, client, server);
    before.open(protocol::udp, blue, at(client, 1000), server);
  }
  std::byte* const record = memory.bytes().data() + session_memory_header_size;
  reinterpret_cast<Session<Ipv4>*>(record)->last_active ^= 0x8000'0000;
  Gateway after(roomy_policy(), memory.given_to(options));
  CHECK_EQ(after.engine.session_count(), 1);
  for (std::uint16_t port = 2000; port < 2300; ++port) {
    after.travel(1min);
    after.expire_all();
    CHECK(after.out(blue, udp(at(client, port), server)).accepted());
  }
  CHECK_LE(after.engine.session_count(), 6);
}

TEST_CASE("session_memory: without a clock it is refused") {
  EngineOptions options = options_of(1, 64);
  Memory memory(options);
  options = memory.given_to(options);
  options.now.reset();
  CHECK_THROWS_AS(Engine(options, std::make_shared<const Policy>(roomy_policy())),
                  std::invalid_argument);
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

namespace {

std::optional<std::string> fault_of(const EngineOptions& options, const Policy& policy,
                                    std::span<const std::byte> memory) {
  return Engine::session_memory_fault(options, policy, memory);
}

}  // namespace

TEST_CASE("session_memory: what is wrong with it is told before there is an engine") {
  const EngineOptions options = options_of(2, 64);
  const Policy policy = roomy_policy();
  Memory memory(options);
  CHECK_FALSE(fault_of(options, policy, {}));
  CHECK_FALSE(fault_of(options, policy, memory.bytes()));
  CHECK_FALSE(fault_of(options, policy, memory.bytes().first(1)));
  Gateway(policy, memory.given_to(options)).open(protocol::udp, blue, client, server);
  const Memory untouched = memory;
  CHECK_FALSE(fault_of(options, policy, memory.bytes()));

  EngineOptions other = options;
  other.time_epoch = 7;
  CHECK_EQ(fault_of(other, policy, memory.bytes()).value(),
           "was written before the machine was started");
  CHECK_EQ(fault_of(options_of(4, 128), policy, memory.bytes()).value(),
           "was written with another number of workers");
  CHECK_EQ(fault_of(options_of(2, 128), policy, memory.bytes()).value(),
           "was written with another max_sessions");
  CHECK_EQ(fault_of(options, policy_of_ports({40000, 50000}), memory.bytes()).value(),
           "was written with other external addresses, ports or mapping");
  const std::size_t size = Engine::session_memory_size(options, policy);
  CHECK_EQ(fault_of(options, policy, memory.bytes().first(size - 1)).value(), "is cut short");
  CHECK(memory.same_as(untouched));
}

TEST_CASE("session_memory: bytes of somebody else are no session memory") {
  const EngineOptions options = options_of(1, 64);
  for (const std::size_t size : {1u, 7u, 8u, 100u, 4096u, 100'000u}) {
    CAPTURE(size);
    const std::vector<std::byte> text(size, std::byte{'x'});
    CHECK_EQ(fault_of(options, roomy_policy(), text).value(), "is no session memory");
    // What begins with zeros may be a disk's image.
    std::vector<std::byte> image(size + 4096);
    image.back() = std::byte{1};
    CHECK_EQ(fault_of(options, roomy_policy(), image).value(), "is no session memory");
    image.back() = std::byte{0};
    CHECK_FALSE(fault_of(options, roomy_policy(), image));
  }
}

TEST_CASE("session_memory: sessions brought to another clock are as long idle as they were") {
  const Policy policy = roomy_policy();
  EngineOptions here = options_of(2, 64);
  here.time_epoch = 1;
  for (const Time offset : {Time(0), Time(5000), Time(0x1'2345'6789), Time(-2'000'000'000)}) {
    CAPTURE(offset);
    Memory memory(here);
    Gateway before(policy, memory.given_to(here));
    const Peer external = before.open(protocol::udp, blue, client, server);
    before.travel(20s);
    before.open(protocol::tcp, blue, client, server);
    before.travel(30s);

    const Time now = before.now + offset + Time(5'000'000'000);
    EngineOptions there = memory.given_to(here, now);
    there.time_epoch = 2;
    CHECK(fault_of(there, policy, memory.bytes()));
    Engine::rebase_session_memory(there, policy, before.now, now);
    CHECK_FALSE(fault_of(there, policy, memory.bytes()));
    CHECK(fault_of(memory.given_to(here), policy, memory.bytes()));
    Gateway after(policy, there);
    CHECK_EQ(after.engine.session_count(), 2);
    for (const SessionView& view : after.sessions()) {
      CHECK_EQ(view.idle, view.protocol == protocol::tcp ? 30s : 50s);
    }
    CHECK(after.answers(protocol::udp, server, external, blue, client));
  }
}

TEST_CASE("session_memory: only another clock can be made up for, and not half-way") {
  EngineOptions options = options_of(2, 64);
  const Policy policy = roomy_policy();
  Memory memory(options);
  Gateway(policy, memory.given_to(options)).open(protocol::udp, blue, client, server);
  const Memory untouched = memory;
  const auto rebase = [&](const EngineOptions& other, const Policy& with) {
    Engine::rebase_session_memory(memory.given_to(other), with, 1s, 2s);
  };
  CHECK_THROWS_AS(rebase(options_of(2, 32), policy), SessionMemoryError);
  CHECK_THROWS_AS(rebase(options, policy_of_ports({40000, 50000})), SessionMemoryError);
  EngineOptions short_one = options;
  short_one.session_memory = memory.bytes().first(100);
  CHECK_THROWS_AS(Engine::rebase_session_memory(short_one, policy, 1s, 2s), SessionMemoryError);
  CHECK(memory.same_as(untouched));

  // As a process leaves it that is killed meanwhile.
  auto& header = *reinterpret_cast<SessionMemoryHeader*>(memory.bytes().data());
  header.format.magic = ~header.format.magic;
  CHECK_EQ(fault_of(options, policy, memory.bytes()).value(),
           "was left half-way between two clocks");
  CHECK_THROWS_AS(Gateway(policy, memory.given_to(options)), SessionMemoryError);
}
