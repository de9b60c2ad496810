// Address-and-port-dependent mapping: an external port for each session, which serves once for each
// remote endpoint.
#include <doctest/doctest.h>

#include <map>
#include <set>
#include <tuple>

#include "engine/ports/port_space.h"
#include "tests/support/dice.h"
#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Policy reusing(PortRange ports) {
  Policy policy = policy_of_both();
  policy.mapping = Mapping::address_and_port_dependent;
  policy.filtering = Filtering::endpoint_independent;
  policy.ports = ports;
  return policy;
}

}  // namespace

TEST_CASE_TEMPLATE("port_reuse: one port serves for every remote endpoint, once", F, V4, V6) {
  for (const std::uint8_t protocol : {protocol::tcp, protocol::udp}) {
    Gateway gateway(reusing({40000, 40000}));
    const auto remote = F::server();
    for (std::uint16_t port = 1; port < 50; ++port) {
      const auto internal = at(F::client(), static_cast<std::uint16_t>(1000 + port));
      const auto external = open<F>(gateway, protocol, 1 + port % 5u, internal, at(remote, port));
      CHECK_EQ(external.port, 40000);
    }
    for (std::uint16_t port = 1; port < 50; ++port) {
      const auto internal = at(F::client(), static_cast<std::uint16_t>(1000 + port));
      CHECK(answers<F>(gateway, protocol, at(remote, port), {F::external(), 40000}, 1 + port % 5u,
                       internal));
    }
    CHECK_EQ(gateway.out(blue, opening(protocol, F::client(), at(remote, 1))).reason,
             Reason::no_free_port);
    // Nobody else may send, whatever the filtering.
    CHECK_EQ(gateway.in(opening(protocol, F::stranger(), {F::external(), 40000})).reason,
             Reason::no_mapping);
    CHECK_EQ(gateway.in(opening(protocol, at(remote, 77), {F::external(), 40000})).reason,
             Reason::no_mapping);
  }
}

TEST_CASE_TEMPLATE("port_reuse: rfc4787_req11 which port a session gets hangs on nothing else", F,
                   V4, V6) {
  for (const std::uint8_t protocol : all_protocols) {
    for (const std::uint32_t shards : {1U, 8U}) {
      for (const std::uint16_t port :
           {std::uint16_t{1024}, std::uint16_t{5000}, std::uint16_t{5001}, std::uint16_t{65535}}) {
        const auto internal = at(F::client(), port);
        const auto open_blue = [&](Gateway& gateway) {
          return open<F>(gateway, protocol, blue, internal, F::server()).port;
        };
        Gateway idle(reusing({1024, 65535}), options_of(shards));
        const std::uint16_t first = open_blue(idle);
        CHECK_EQ(first % 2, port % 2);
        CHECK_EQ(shard_of_port(first, shards), shard_of_port(port, shards));
        // As where the internal port is another's for this remote, and after its session is over.
        Gateway busy(reusing({1024, 65535}), options_of(shards));
        for (NamespaceId other = 3; other < 8; ++other) {
          open<F>(busy, protocol, other, internal, F::server());
        }
        CHECK_EQ(open_blue(busy), first);
        busy.travel(2h);
        busy.travel(5min);
        CHECK_EQ(open_blue(busy), first);
        // Another tenant is told another port.
        CHECK_NE(open<F>(idle, protocol, green, internal, F::server()).port, first);
      }
    }
  }
}

TEST_CASE_TEMPLATE("port_reuse: rfc4787_req11 two remotes see two ports, from the first packet on",
                   F, V4, V6) {
  for (const std::uint8_t protocol : {protocol::tcp, protocol::udp}) {
    Gateway gateway(reusing({1024, 65535}), options_of(2));
    int same = 0;
    for (std::uint16_t port = 2000; port < 4000; ++port) {
      const auto internal = at(F::client(), port);
      const std::uint16_t first = open<F>(gateway, protocol, blue, internal, F::server()).port;
      same += open<F>(gateway, protocol, blue, internal, F::stranger()).port == first;
      same += open<F>(gateway, protocol, blue, internal, at(F::server(), 81)).port == first;
      same += first == port;
    }
    CHECK_LT(same, 6);  // by chance: one in 16,128
  }
}

TEST_CASE("port_reuse: however few ports are left for a remote, no more than 66 are tried") {
  const PortRange range{1024, 65535};
  const auto opened = [&](auto&& is_left) {
    Gateway gateway(reusing(range));
    PortBits withheld;
    for (std::uint32_t port = range.first; port <= range.last; ++port) {
      withheld.set(port, !is_left(port));
    }
    gateway.engine.withhold(protocol::udp, withheld);
    int count = 0;
    for (std::uint16_t port = 2000; port < 4000; ++port) {
      const Outcome sent = gateway.out(blue, udp(at(client, port), at(server, port)));
      if (!sent.accepted()) REQUIRE_EQ(sent.reason, Reason::no_free_port);
      count += sent.accepted();
    }
    return count;
  };
  // Two of 2,000 are expected to find the only one.
  CHECK_LT(opened([](std::uint32_t port) { return port == 40'000; }), 12);
  // With a tenth left, all but two.
  CHECK_GT(opened([](std::uint32_t port) { return port % 20 < 2; }), 1988);
}

TEST_CASE("port_reuse: never two sessions with the same outside flow") {
  for (const std::uint32_t shards : {1U, 4U}) {
    Gateway gateway(reusing({40000, 40031}), options_of(shards));
    Dice random(shards);
    std::map<std::tuple<std::uint8_t, std::uint16_t, std::uint16_t>, std::pair<NamespaceId, Peer>>
        owners;
    int refused = 0;
    for (int i = 0; i < 4000; ++i) {
      const std::uint8_t protocol = all_protocols[random.below(3)];
      const NamespaceId id = 1 + random.below(6);
      const Peer internal = at(client, static_cast<std::uint16_t>(1000 + random.below(20)));
      const Peer remote = at(server, static_cast<std::uint16_t>(1 + random.below(5)));
      const Outcome left = gateway.out(id, opening(protocol, internal, remote));
      if (!left.accepted()) {
        REQUIRE_EQ(left.reason, Reason::no_free_port);
        ++refused;
        continue;
      }
      const std::uint16_t far = protocol == protocol::icmp ? std::uint16_t{0} : remote.port;
      const auto [owner, is_new] =
          owners.try_emplace({protocol, left.source().port, far}, id, internal);
      if (!is_new) REQUIRE((owner->second == std::pair{id, internal}));
    }
    CHECK_GT(refused, 0);
    CHECK_EQ(gateway.engine.session_count(), owners.size());
    for (const auto& [key, owner] : owners) {
      const auto& [protocol, port, far] = key;
      CHECK(gateway.answers(protocol, at(server, far), {external_host, port}, owner.first,
                            owner.second));
    }
  }
}

TEST_CASE_TEMPLATE("port_reuse: the last port is usable, and then there is none", F, V4, V6) {
  for (const std::uint32_t shards : {1U, 2U, 4U}) {
    Gateway gateway(reusing({65520, 65535}), options_of(shards));
    std::set<std::uint16_t> ports;
    for (std::uint16_t port = 1000; port < 1016; ++port) {
      ports.insert(open<F>(gateway, protocol::udp, blue, at(F::client(), port), F::server()).port);
    }
    CHECK_EQ(ports.size(), 16);
    for (std::uint16_t port = 1016; port < 1032; ++port) {
      const Bytes packet = udp(at(F::client(), port), F::server());
      const Outcome left = gateway.out(blue, packet);
      CHECK_EQ(left.reason, Reason::no_free_port);
      CHECK_EQ(left.bytes, packet);
    }
    CHECK_EQ(gateway.session_count(blue), 16);
    // Free at once when its session is over: the remote is done with it, or has none other.
    gateway.travel(5min);
    CHECK(gateway.out(blue, udp(at(F::client(), 1020), F::server())).accepted());
  }
}

TEST_CASE("port_reuse: a mapping for each session") {
  Gateway gateway(reusing({1024, 65535}), options_of(2));
  const Peer first = gateway.open(protocol::udp, blue, client, at(server, 1));
  const Peer second = gateway.open(protocol::udp, blue, client, at(server, 2));
  CHECK_NE(second.port, first.port);
  CHECK(gateway.answers(protocol::udp, at(server, 1), first, blue, client));
  CHECK(gateway.answers(protocol::udp, at(server, 2), second, blue, client));
  CHECK_FALSE(gateway.in(udp(at(server, 1), second)).accepted());
}
