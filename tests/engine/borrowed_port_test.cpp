// Ports of another shard, when a shard's own are used up: through the whole engine.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "engine/ports/port_space.h"
#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr std::uint32_t shards = 4;

Policy narrow() {
  Policy policy = policy_of_both();
  policy.ports = {40000, 40015};
  return policy;
}

// Internal ports of one shard alone.
std::uint16_t port_number(std::uint16_t i) {
  return static_cast<std::uint16_t>(1000 + i / 2 * 8 + i % 2);
}

}  // namespace

TEST_CASE_TEMPLATE("borrowed_port: one shard may use them all, and each is found again", F, V4,
                   V6) {
  for (const std::uint8_t protocol : all_protocols) {
    Gateway gateway(narrow(), options_of(shards));
    std::map<std::uint16_t, std::uint16_t> internal_of;
    for (std::uint16_t i = 0; i < 16; ++i) {
      const auto internal = at(F::client(), port_number(i));
      REQUIRE_EQ(shard_of_port(internal.port, shards), shard_of_port(1000, shards));
      const auto external = open<F>(gateway, protocol, blue, internal, F::server());
      CHECK(internal_of.emplace(external.port, internal.port).second);
    }
    CHECK_EQ(internal_of.size(), 16);
    CHECK_EQ(gateway.out(blue, opening(protocol, at(F::client(), 1002), F::server())).reason,
             Reason::no_free_port);
    for (const auto& [port, internal] : internal_of) {
      const typename F::Peer external{F::external(), port};
      CHECK(answers<F>(gateway, protocol, F::server(), external, blue, at(F::client(), internal)));
      CHECK_EQ(open<F>(gateway, protocol, blue, at(F::client(), internal), F::stranger()),
               external);
      // An error about what it sent finds it too.
      const Bytes sent = opening(protocol, external, F::server());
      const Outcome error =
          gateway.in(error_about(sent, F::router(), F::external(), F::unreachable));
      REQUIRE_EQ(error.reason, Reason::translated_inbound);
      CHECK_EQ(F::source(quoted_in(error.bytes)), at(F::client(), internal));
    }
  }
}

TEST_CASE_TEMPLATE("borrowed_port: it is reached by hairpin", F, V4, V6) {
  Policy policy = narrow();
  policy.filtering = Filtering::endpoint_independent;
  policy.ports = {40000, 40031};
  Gateway gateway(policy, options_of(shards));
  for (std::uint16_t i = 0; i < 12; ++i) {
    const auto internal = at(F::neighbour(), port_number(i));
    const auto external = open<F>(gateway, protocol::udp, green, internal, F::server());
    const Outcome passed = gateway.hairpin(blue, udp(F::client(), external));
    REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
    CHECK_EQ(F::destination(passed.bytes), internal);
  }
}

TEST_CASE_TEMPLATE("borrowed_port: given back it is its own shard's again", F, V4, V6) {
  Gateway gateway(narrow(), options_of(shards));
  for (int round = 0; round < 3; ++round) {
    for (std::uint16_t i = 0; i < 16; ++i) {
      open<F>(gateway, protocol::udp, blue, at(F::client(), port_number(i)), F::server());
    }
    gateway.expire_after(5min);
    gateway.travel(2min);
    std::set<std::uint16_t> ports;
    for (std::uint16_t port = 1000; port < 1016; ++port) {
      const auto external =
          open<F>(gateway, protocol::udp, blue, at(F::client(), port), F::server());
      CHECK_EQ(shard_of_port(external.port, shards), shard_of_port(port, shards));
      ports.insert(external.port);
    }
    CHECK_EQ(ports.size(), 16);
    gateway.expire_after(5min);
    gateway.travel(2min);
  }
}

TEST_CASE("borrowed_port: rfc4787_req4 parity goes before, where the shard has both") {
  Gateway gateway(narrow(), options_of(shards));
  // The shard has two even and two odd ports of its own.
  for (std::uint16_t i = 0; i < 2; ++i) {
    const auto port = static_cast<std::uint16_t>(1000 + 8 * i);
    CHECK_EQ(gateway.open(protocol::udp, blue, at(client, port), server).port % 2, 0);
  }
}

TEST_CASE("port preservation: the internal port where it is free, within its class") {
  Policy policy = policy_of_both();
  policy.ports = {1000, 40000};
  for (const std::uint8_t protocol : {protocol::tcp, protocol::udp}) {
    Gateway gateway(policy, options_of(shards));
    for (const std::uint16_t port :
         {std::uint16_t{1000}, std::uint16_t{1023}, std::uint16_t{1024}, std::uint16_t{40000}}) {
      CHECK_EQ(gateway.open(protocol, blue, at(client, port), server).port, port);
      const Peer other = gateway.open(protocol, green, at(client, port), server);
      CHECK_NE(other.port, port);
      CHECK_EQ(other.port < 1024, port < 1024);
      CHECK_EQ(other.port % 2, port % 2);
    }
    // One that cannot be kept is of the class too.
    CHECK_LT(gateway.open(protocol, blue, at(client, 80), server).port, 1024);
    CHECK_GE(gateway.open(protocol, blue, at(client, 50000), server).port, 1024);
  }
}

TEST_CASE("port rest: a freed port rests while there are others") {
  Policy policy = policy_of_both();
  policy.ports = {40000, 40002};
  policy.timeouts.udp = 1min;
  Gateway gateway(policy);
  gateway.open(protocol::udp, blue, client, server);
  gateway.travel(1min);
  CHECK_EQ(gateway.open(protocol::udp, green, client, server).port, 40002);
  gateway.travel(1min);
  gateway.expire_all();
  gateway.travel(1min - 1ms);
  CHECK_EQ(gateway.open(protocol::udp, green, client, server).port, 40001);
  gateway.travel(1ms);
  CHECK_EQ(gateway.open(protocol::udp, blue, client, server).port, 40000);
}

TEST_CASE("port rest: not after a close that both ends know of") {
  Policy policy = policy_of_both();
  policy.ports = {40000, 40001};
  policy.timeouts.tcp_transitory = 0ms;
  Gateway gateway(policy);
  const Peer external = gateway.open(protocol::tcp, blue, client, server);
  REQUIRE(gateway.answers(protocol::tcp, server, external, blue, client));
  REQUIRE(
      gateway.out(blue, tcp(client, server, {.flags = 0x10, .acknowledgment = 5001})).accepted());
  REQUIRE(gateway.in(tcp(server, external, {.flags = 0x04, .sequence = 5001})).accepted());
  CHECK_EQ(gateway.session_count(blue), 0);
  CHECK_EQ(gateway.open(protocol::tcp, green, client, server), external);
}
