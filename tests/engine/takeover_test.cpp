// Sessions of every kind that another engine takes over, and records that it must not believe.
#include <doctest/doctest.h>

#include <functional>
#include <set>

#include "engine/session/session_memory.h"
#include "tests/support/dice.h"
#include "tests/support/effort.h"
#include "tests/support/families.h"
#include "tests/support/memory_block.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// The first record of the family's part in one shard's memory.
template <class Family>
Session<Family>& first_record(Memory& memory, const EngineOptions& options, const Policy& policy) {
  return session_memory_part<Family>(memory.bytes(), options.shards,
                                     shard_capacity(options.max_sessions, options.shards), policy,
                                     0)
      .records[0];
}

template <class F>
Policy everything() {
  Policy policy = policy_of_both();
  policy.ports = {40000, 40063};
  const Network<typename F::Address> around{F::neighbour().address, 8};
  policy.namespaces = {{.first = blue, .last = 9, .session_limit = 100, .inside = {around}}};
  for (const std::uint8_t protocol : protocols_with_ports) {
    policy.forwards.push_back({.protocol = protocol,
                               .external = typename F::Peer{F::external(), 443},
                               .namespace_id = green,
                               .to = at(F::neighbour(), 82)});
    policy.redirects.push_back(
        {.protocol = protocol, .from = at(F::server(), 53), .to = at(F::neighbour(), 53)});
  }
  return policy;
}

}  // namespace

TEST_CASE_TEMPLATE("takeover: both families, borrowed ports, forwards and redirects", F, V4, V6) {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    for (const std::uint8_t protocol : protocols_with_ports) {
      Policy policy = everything<F>();
      policy.mapping = mapping;
      const EngineOptions options = options_of(4, 256);
      Memory memory(options, policy);
      Gateway before(policy, memory.given_to(options));
      // All of one shard: with endpoint-independent mapping most ports are borrowed.
      struct Known {
        typename F::Peer internal;
        typename F::Peer external;
      };
      std::vector<Known> known;
      const std::uint16_t count = mapping == Mapping::endpoint_independent ? 50 : 16;
      for (std::uint16_t i = 0; i < count; ++i) {
        const auto internal = at(F::client(), static_cast<std::uint16_t>(1000 + 8 * i));
        known.push_back({internal, open<F>(before, protocol, blue, internal, F::server())});
      }
      const typename F::Peer service{F::external(), 443};
      REQUIRE(before.in(opening(protocol, F::stranger(), service)).accepted());
      const Outcome redirected =
          before.hairpin(blue, opening(protocol, F::client(), at(F::server(), 53)));
      REQUIRE(redirected.accepted());
      const std::uint64_t sessions = before.engine.session_count();

      Memory left_behind = memory;
      EngineOptions next = left_behind.given_to(options, before.now + 1s);
      next.secret[1] ^= 0x1234;
      Gateway after(policy, next);
      CHECK_EQ(after.engine.session_count(), sessions);
      std::set<std::uint16_t> used;
      for (const Known& one : known) {
        used.insert(one.external.port);
        CHECK(answers<F>(after, protocol, F::server(), one.external, blue, one.internal));
        CHECK_EQ(open<F>(after, protocol, blue, one.internal, F::server()), one.external);
      }
      const Outcome left =
          after.out(green, answer(protocol, at(F::neighbour(), 82), F::stranger()));
      REQUIRE(left.accepted());
      CHECK_EQ(F::source(left.bytes), service);
      const Outcome reply = after.hairpin(
          blue, answer(protocol, at(F::neighbour(), 53), F::source(redirected.bytes)));
      REQUIRE(reply.accepted());
      CHECK_EQ(F::source(reply.bytes), at(F::server(), 53));
      // What is taken is not handed out again.
      if (mapping == Mapping::address_and_port_dependent) continue;
      for (std::uint16_t port = 2001; port < 2100; ++port) {
        const Outcome more = after.out(blue, opening(protocol, at(F::client(), port), F::server()));
        if (more.accepted()) CHECK(used.insert(F::source(more.bytes).port).second);
      }
    }
  }
}

TEST_CASE_TEMPLATE("takeover: a half-closed connection is over when both ends have all", F, V4,
                   V6) {
  Policy policy = policy_of_both();
  policy.timeouts.tcp_transitory = 0ms;
  const EngineOptions options = options_of(4, 64);
  Memory memory(options, policy);
  constexpr std::uint8_t fin = tcp_flag::fin | tcp_flag::ack;
  constexpr std::uint8_t syn = tcp_flag::syn | tcp_flag::ack;
  constexpr std::uint32_t remote_sequence = 0x8000'0000;  // far from the clients' own
  constexpr std::size_t count = 4;                        // one in each shard
  const auto internal = [](std::size_t i) {
    return at(F::client(), static_cast<std::uint16_t>(1000 + 2 * i));
  };
  // So that no number of one connection would do for another.
  const auto remote_base = [](std::size_t i) {
    return remote_sequence + static_cast<std::uint32_t>(i) * 0x1000'0000;
  };
  typename F::Peer external[count];
  const auto receive = [&](Gateway& gateway, std::size_t i, std::uint8_t flags,
                           std::uint32_t sequence, std::uint32_t next) {
    const TcpFields fields{
        .flags = flags, .sequence = remote_base(i) + sequence, .acknowledgment = next};
    REQUIRE(gateway.in(tcp(F::server(), external[i], fields)).accepted());
  };
  const auto send = [&](Gateway& gateway, std::size_t i, std::uint8_t flags, std::uint32_t sequence,
                        std::uint32_t next) {
    const TcpFields fields{
        .flags = flags, .sequence = sequence, .acknowledgment = remote_base(i) + next};
    REQUIRE(gateway.out(blue, tcp(internal(i), F::server(), fields)).accepted());
  };
  {
    Gateway before(policy, memory.given_to(options));
    for (std::size_t i = 0; i < count; ++i) {
      external[i] = open<F>(before, protocol::tcp, blue, internal(i), F::server());
      receive(before, i, syn, 0, 1001);
      receive(before, i, fin, 1, 1001);
    }
  }
  Gateway after(policy, memory.given_to(options));
  for (std::size_t i = 0; i < count; ++i) {
    CHECK_EQ(after.sessions().at(i).state, "half-closed");
  }
  for (std::size_t i = 0; i < count; ++i) {
    send(after, i, fin, 1001, 1);  // which has not seen the other one
    receive(after, i, tcp_flag::ack, 2, 1002);
    CHECK_EQ(after.engine.session_count(), count - i);
    send(after, i, tcp_flag::ack, 1002, 2);
    CHECK_EQ(after.engine.session_count(), count - i - 1);
  }
}

TEST_CASE("takeover: what the new policy's rules do not allow is left") {
  const Policy policy = everything<V4>();
  const EngineOptions options = options_of(2, 64);
  Memory memory(options, policy);
  {
    Gateway before(policy, memory.given_to(options));
    before.open(protocol::udp, blue, client, server);
    before.open(protocol::tcp, blue, client, at(server, 25));
    REQUIRE(before.in(udp(V4::stranger(), {external_host, 443})).accepted());
    REQUIRE(before.hairpin(blue, udp(client, at(server, 53))).accepted());
  }
  Policy other = policy;
  other.drops = {{.protocol = protocol::tcp, .ports = {25, 25}}};
  other.forwards.clear();
  other.redirects.clear();
  Gateway after(other, memory.given_to(options));
  CHECK_EQ(after.engine.session_count(), 1);
  CHECK_EQ(after.in(udp(V4::stranger(), {external_host, 443})).reason, Reason::no_mapping);
}

TEST_CASE_TEMPLATE("takeover: a record that contradicts itself or the policy is not believed", F,
                   V4, V6) {
  using Family = std::conditional_t<F::icmp == protocol::icmp, Ipv4, Ipv6>;
  using Record = Session<Family>;
  struct Case {
    const char* name;
    std::function<void(Record&)> spoil;
    bool kept = false;
  };
  const Case cases[] = {
      {"as it was", [](Record&) {}, true},
      {"a port out of the range", [](Record& r) { r.outside.local_port = 442; }},
      {"port 0", [](Record& r) { r.outside.local_port = 0; }},
      {"an address that is none of ours", [](Record& r) { r.outside.local = r.outside.remote; }},
      {"a protocol that is none", [](Record& r) { r.protocol = 89; }},
      {"the state of another protocol", [](Record& r) { r.state = SessionState::udp; }},
      {"a state that is none",
       [](Record& r) { r.state = static_cast<SessionState>(session_state_count); }},
      {"a window scale out of its range", [](Record& r) { r.internal_receiver.scale = 15; }},
      {"any bits of what a TCP end has said",
       [](Record& r) {
         std::memset(reinterpret_cast<char*>(&r.remote_receiver + 1) - 1, 0x55, 1);
         std::memset(reinterpret_cast<char*>(&r.claim), 0xff, 1);
       },
       true},
      {"a redirect that no rule makes", [](Record& r) { r.inside.remote_port ^= 1; }},
      {"from outside, to where nobody was",
       [](Record& r) {
         r.is_from_outside = true;
         r.inside.remote_port ^= 1;
       }},
      {"from outside, but within",
       [](Record& r) {
         r.is_from_outside = true;
         r.remote_is_inside = true;
       }},
      {"a forward that there is not", [](Record& r) { r.is_forward = true; }},
      {"the port of a forward", [](Record& r) { r.outside.local_port = 443; }},
      {"a remote within, without a redirect", [](Record& r) { r.remote_is_inside = true; }},
      {"a namespace that there is not", [](Record& r) { r.namespace_id = 77; }},
      {"another shard's internal port", [](Record& r) { r.inside.local_port ^= 2; }},
  };
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    for (const Case& c : cases) {
      INFO(std::string(c.name));
      Policy policy = everything<F>();
      policy.mapping = mapping;
      const EngineOptions options = options_of(2, 64);
      Memory memory(options, policy);
      {
        Gateway before(policy, memory.given_to(options));
        open<F>(before, protocol::tcp, blue, at(F::client(), 40000), F::server());
      }
      c.spoil(first_record<Family>(memory, options, policy));
      Gateway after(policy, memory.given_to(options));
      CHECK_EQ(after.engine.session_count(), c.kept ? 1 : 0);
      // Whatever was there, the engine works.
      after.travel(1s);
      open<F>(after, protocol::tcp, blue, at(F::client(), 40002), F::server());
      open<F>(after, protocol::udp, blue, at(F::client(), 40002), F::server());
    }
  }
}

TEST_CASE("takeover: memory of random bytes does no harm") {
  const Policy policy = everything<V4>();
  const EngineOptions options = options_of(2, 64);
  for (std::uint32_t seed = 0; seed < 20 * effort; ++seed) {
    Dice random(seed);
    Memory memory(options, policy);
    {
      Gateway before(policy, memory.given_to(options));
      for (std::uint16_t i = 0; i < 20; ++i) {
        const std::uint8_t protocol = all_protocols[random.below(3)];
        before.out(blue, opening(protocol, at(client, random.word()), server));
        before.out(green, opening(protocol, at(client6, random.word()), server6));
      }
    }
    const auto records = memory.bytes().subspan(session_memory_header_size);
    const std::uint32_t changes = seed % 2 == 0 ? 2000 : 30;
    for (std::uint32_t i = 0; i < changes; ++i) {
      records[random.below(static_cast<std::uint32_t>(records.size()))] = std::byte(random());
    }
    Gateway after(policy, memory.given_to(options));
    for (const SessionView& view : after.sessions()) {
      CHECK_GE(view.namespace_id, blue);
      CHECK_LE(view.namespace_id, 9);
    }
    CHECK_LE(after.engine.session_count(), 128);
    for (std::uint16_t i = 0; i < 60; ++i) {
      const std::uint8_t protocol = all_protocols[random.below(3)];
      after.travel(1min);
      after.out(blue, opening(protocol, at(client, random.word()), server));
      after.out(green, opening(protocol, at(client6, random.word()), server6));
      after.in(opening(protocol::udp, V4::stranger(), {external_host, 443}));
      after.expire_all();
    }
    after.set_policy(policy);
  }
}
