// RFC 4787, NAT behaviour for UDP; where the requirement is the same for TCP, for TCP too.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "tests/support/connection.h"
#include "tests/support/filtering_cases.h"
#include "tests/support/memory_block.h"

namespace swnat::test {

TEST_CASE("rfc4787_req1_endpoint_independent_mapping") {
  Gateway gateway(roomy_policy(), options_of(4));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  for (const Peer remote : {at(server, 443), stranger, at(stranger, 1)}) {
    CHECK_EQ(gateway.open(protocol::udp, blue, client, remote), external);
  }
  CHECK_NE(gateway.open(protocol::udp, blue, at(client, 40001), server), external);
  CHECK_NE(gateway.open(protocol::udp, green, client, server), external);
}

TEST_CASE("rfc4787_address_and_port_dependent_mapping") {
  Policy policy = policy_with(PortRange{40000, 40000});
  policy.mapping = Mapping::address_and_port_dependent;
  policy.filtering = Filtering::endpoint_independent;
  Gateway gateway(policy);
  const Peer remotes[] = {server, at(server, 81), stranger};
  for (std::uint16_t i = 0; i < 3; ++i) {
    const auto port = static_cast<std::uint16_t>(1000 + i);
    CHECK_EQ(gateway.open(protocol::udp, 1u + i, at(client, port), remotes[i]).port, 40000);
  }
  for (std::uint16_t i = 0; i < 3; ++i) {
    const auto port = static_cast<std::uint16_t>(1000 + i);
    CHECK(gateway.answers(protocol::udp, remotes[i], {external_host, 40000}, 1u + i,
                          at(client, port)));
  }
  CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::no_free_port);
  CHECK_FALSE(gateway.in(udp(at(stranger, 1), {external_host, 40000})).accepted());
}

TEST_CASE("rfc4787_req2_paired_pooling") {
  Policy policy = roomy_policy();
  for (std::uint8_t i = 1; i <= 8; ++i) policy.external.v4.push_back(Host::of(203, 0, 113, 10 + i));
  Gateway gateway(policy, options_of(4));
  std::set<std::uint32_t> used;
  for (std::uint8_t last = 1; last <= 60; ++last) {
    const Host host = Host::of(10, 0, 0, last);
    const Host external = gateway.open(protocol::udp, blue, {host, 1000}, server).address;
    used.insert(external.wire);
    for (std::uint16_t port = 1001; port < 1010; ++port) {
      for (const std::uint8_t protocol : all_protocols) {
        CHECK(gateway.open(protocol, blue, {host, port}, server).address == external);
      }
    }
  }
  CHECK_GT(used.size(), 4);
}

TEST_CASE("rfc4787_req2_pairing_over_restarts_and_changes") {
  Policy policy = roomy_policy();
  for (std::uint8_t i = 1; i <= 3; ++i) policy.external.v4.push_back(Host::of(203, 0, 113, 10 + i));
  const EngineOptions options = options_of(4, 1024);
  Memory memory(options, policy);
  // Each process has a secret of its own, and sees the hosts anew.
  const auto externals = [&](EngineOptions own, std::uint64_t process) {
    own.secret[0] ^= process << 32;
    Gateway gateway(policy, own);
    gateway.travel(process * 1h);
    std::vector<std::uint32_t> all;
    for (std::uint8_t last = 1; last <= 60; ++last) {
      const Host host = Host::of(10, 0, 0, last);
      all.push_back(gateway.open(protocol::udp, blue, {host, 1000}, server).address.host());
    }
    return all;
  };
  const auto before = externals(memory.given_to(options), 1);
  for (std::uint64_t process = 2; process <= 4; ++process) {
    CHECK(externals(memory.given_to(options), process) == before);
  }
  const Host added = Host::of(203, 0, 113, 99);
  policy.external.v4.push_back(added);
  EngineOptions other = options;
  other.pairing_key = Engine::pairing_key(memory.bytes()).value();
  const auto after = externals(other, 5);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK((after[i] == before[i] || after[i] == added.host()));
  }
}

TEST_CASE("rfc4787_req3_no_port_overloading") {
  constexpr std::uint16_t ports = 64;
  for (const std::uint8_t protocol : protocols_with_ports) {
    Gateway gateway(policy_with(PortRange{40000, 40000 + ports - 1}));
    std::map<std::uint16_t, Peer> owners;
    for (std::uint16_t port = 1; port <= ports; ++port) {
      owners[gateway.open(protocol, blue, at(client, port), server).port] = at(client, port);
    }
    CHECK_EQ(owners.size(), ports);
    // Not even for another remote, nor for another tenant.
    CHECK_EQ(gateway.out(green, opening(protocol, client, stranger)).reason, Reason::no_free_port);
    for (const auto& [port, internal] : owners) {
      CHECK(gateway.answers(protocol, server, {external_host, port}, blue, internal));
    }
  }
}

TEST_CASE("rfc4787_req3_port_classes") {
  Gateway gateway(policy_with(PortRange{512, 2047}), options_of(4));
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const NamespaceId id : {blue, green}) {
      for (const std::uint16_t port : {std::uint16_t{1}, std::uint16_t{600}, std::uint16_t{1023},
                                       std::uint16_t{1024}, std::uint16_t{40000}}) {
        const Peer external = gateway.open(protocol, id, at(client, port), server);
        CHECK_EQ(external.port < 1024, port < 1024);
      }
    }
  }
}

TEST_CASE("rfc4787_req3_port_preservation") {
  Gateway gateway(roomy_policy(), options_of(4));
  for (const std::uint8_t protocol : all_protocols) {
    for (const std::uint16_t port : {std::uint16_t{32768}, std::uint16_t{50001}}) {
      CHECK_EQ(gateway.open(protocol, blue, at(client, port), server).port, port);
      // Where it is taken another is given: never one port to two.
      CHECK_NE(gateway.open(protocol, green, at(client, port), server).port, port);
    }
  }
}

TEST_CASE("rfc4787_req4_port_parity") {
  Gateway gateway(roomy_policy(), options_of(4));
  for (std::uint16_t port = 30000; port < 30200; ++port) {
    const Peer external = gateway.open(protocol::udp, blue, at(client, port), server);
    CHECK_EQ(external.port % 2, port % 2);
  }
}

TEST_CASE("rfc4787_req5_mapping_timer") {
  CHECK_GE(Policy{}.timeouts.udp, 5min);
  for (const Time timeout : {Time(2min), Time(5min), Time(1h)}) {
    Policy policy = roomy_policy();
    policy.timeouts.udp = timeout;
    Gateway gateway(policy);
    const Peer external = gateway.open(protocol::udp, blue, client, server);
    gateway.travel(timeout - 1ms);
    CHECK(gateway.answers(protocol::udp, server, external, blue, client));
    gateway.travel(timeout);
    CHECK_FALSE(gateway.in(udp(server, external)).accepted());
  }
}

TEST_CASE("rfc4787_req6_refresh") {
  const auto lives_by = [](Filtering filtering, bool outbound) {
    Gateway gateway(policy_with(filtering));
    const Peer external = gateway.open(protocol::udp, blue, client, server);
    for (int i = 0; i < 4; ++i) {
      gateway.travel(4min);
      const Outcome passed =
          outbound ? gateway.out(blue, udp(client, server)) : gateway.in(udp(server, external));
      if (!passed.accepted() || (outbound && passed.source() != external)) return false;
    }
    return true;
  };
  for (const Filtering filtering : {Filtering::endpoint_independent, Filtering::address_dependent,
                                    Filtering::address_and_port_dependent}) {
    CHECK(lives_by(filtering, true));
    // Where anybody may send, nobody but the tenant keeps the mapping.
    CHECK_EQ(lives_by(filtering, false), filtering != Filtering::endpoint_independent);
  }
}

TEST_CASE("rfc4787_req7_external_address_also_inside") {
  Gateway gateway(roomy_policy(), options_of(4));
  // The tenant has our external address, or its peer has the tenant's own.
  const Peer twin{external_host, 5000};
  const Peer far_twin{client.address, 80};
  for (const std::uint8_t protocol : protocols_with_ports) {
    const Peer of_twin = gateway.open(protocol, blue, twin, server);
    CHECK(gateway.answers(protocol, server, of_twin, blue, twin));
    const Peer external = gateway.open(protocol, blue, client, far_twin);
    CHECK_EQ(external.address.wire, external_host.wire);
    CHECK(gateway.answers(protocol, far_twin, external, blue, client));
  }
}

TEST_CASE("rfc4787_req8_filtering") {
  CHECK(Policy{}.filtering == Filtering::address_dependent);
  for (const FilteringCase& c : filtering_cases) {
    Gateway gateway(policy_with(c.filtering), options_of(4));
    const Peer external = gateway.open(protocol::udp, blue, client, server);
    const auto passes = [&](Peer remote) { return gateway.in(udp(remote, external)).accepted(); };
    CHECK(passes(server));
    CHECK_EQ(passes(at(server, 4444)), c.other_port_passes);
    CHECK_EQ(passes(stranger), c.stranger_passes);
  }
}

TEST_CASE("rfc4787_req9_hairpin") {
  CHECK(Policy{}.hairpin);
  Gateway gateway(policy_with(Filtering::endpoint_independent), options_of(4));
  for (const NamespaceId sender : {green, blue}) {  // another tenant, and the same
    const Peer external = gateway.open(protocol::udp, blue, neighbour, server);
    const Outcome passed = gateway.hairpin(sender, udp(client, external));
    REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
    CHECK_EQ(passed.namespace_id, blue);
    CHECK_EQ(passed.destination(), neighbour);
    CHECK_EQ(passed.source(), gateway.open(protocol::udp, sender, client, server));
    CHECK(sums_right(passed.bytes));
  }
}

TEST_CASE("rfc4787_req9_hole_punching") {
  Gateway gateway(policy_with(Filtering::address_and_port_dependent));
  const Peer of_blue = gateway.open(protocol::udp, blue, client, server);
  const Peer of_green = gateway.open(protocol::udp, green, neighbour, server);
  CHECK_EQ(gateway.hairpin(blue, udp(client, of_green)).reason, Reason::filtered);
  CHECK_EQ(gateway.hairpin(green, udp(neighbour, of_blue)).reason, Reason::translated_hairpin);
  CHECK_EQ(gateway.hairpin(blue, udp(client, of_green)).reason, Reason::translated_hairpin);
}

TEST_CASE("rfc4787_req10_no_alg") {
  const Bytes payload = text("INVITE sip:bob@10.0.0.2:40000\r\nc=IN IP4 10.0.0.2\r\nm=audio 40000");
  Gateway gateway;
  const Outcome passed = gateway.out(blue, udp(at(client, 5060), at(server, 5060), payload));
  REQUIRE(passed.accepted());
  CHECK_EQ(Bytes(passed.bytes.begin() + 28, passed.bytes.end()), payload);
  CHECK_EQ(gateway.engine.session_count(), 1);
}

TEST_CASE("rfc4787_req11_deterministic") {
  // Filled until no port is left, and then until the table is full, nothing changes for who has a
  // mapping.
  Gateway gateway(policy_with(PortRange{40000, 40015}), options_of(1, 24));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  for (std::uint16_t port = 1; port < 16; ++port) {
    gateway.open(protocol::udp, green, at(client, port), server);
  }
  for (std::uint16_t port = 100; port < 108; ++port) {
    CHECK_EQ(gateway.out(green, udp(at(client, port), server)).reason, Reason::no_free_port);
    CHECK_EQ(gateway.open(protocol::udp, blue, client, at(server, port)), external);
  }
  CHECK_EQ(gateway.out(blue, udp(client, at(server, 999))).reason, Reason::table_full);
  CHECK(gateway.answers(protocol::udp, server, external, blue, client));
  CHECK_FALSE(gateway.in(udp(stranger, external)).accepted());
  CHECK_EQ(gateway.session_count(blue), 9);
  CHECK_EQ(gateway.session_count(green), 15);
}

TEST_CASE("rfc4787_req11_deterministic_mapping_per_remote") {
  Policy policy = policy_with(PortRange{1024, 65535});
  policy.mapping = Mapping::address_and_port_dependent;
  std::set<std::uint16_t> seen_by_server;
  for (const bool is_busy : {false, true}) {
    Gateway gateway(policy, options_of(2));
    if (is_busy) {
      for (NamespaceId other = 2; other < 40; ++other) {
        for (const Peer remote : {server, stranger}) {
          gateway.open(protocol::udp, other, client, remote);
        }
      }
    }
    const Peer first = gateway.open(protocol::udp, blue, client, server);
    CHECK_NE(gateway.open(protocol::udp, blue, client, stranger).port, first.port);
    seen_by_server.insert(first.port);
  }
  CHECK_EQ(seen_by_server.size(), 1);
}

TEST_CASE("rfc4787_req12_icmp_errors") {
  Gateway gateway;
  const Outcome left = gateway.out(blue, udp(client, server, payload_of(30)));
  for (std::uint8_t code = 0; code < 16; ++code) {
    const Outcome error = gateway.in(error_about(left.bytes, router, external_host, {3, code}));
    REQUIRE(error.accepted());
    CHECK_EQ(error.namespace_id, blue);
    CHECK_EQ(error.destination().address.wire, client.address.wire);
  }
  CHECK(gateway.answers(protocol::udp, server, left.source(), blue, client));
}

TEST_CASE("rfc4787_req13_too_big") {
  Gateway gateway;
  const Outcome left = gateway.out(blue, udp(client, server, payload_of(1472)));
  CHECK_EQ(left.bytes.size(), 1500);
  const Bytes error = error_about(left.bytes, router, external_host, {3, 4});
  constexpr std::size_t next_hop_mtu = 26;
  const Outcome passed = gateway.in(transport_summed(with_word(error, next_hop_mtu, 1280)));
  REQUIRE_EQ(passed.reason, Reason::translated_inbound);
  CHECK_EQ(passed.destination().address.wire, client.address.wire);
  CHECK_EQ(word_at(passed.bytes, next_hop_mtu), 1280);
  CHECK_EQ(source_of(quoted_in(passed.bytes)), client);
}

}  // namespace swnat::test
