// Who may send to a mapping.
#include <doctest/doctest.h>

#include <string>

#include "tests/support/filtering_cases.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Peer other_host = at(stranger, server.port);
constexpr Peer same_host_other_port = at(server, 4444);

// What opens a session from outside.
Bytes knock(std::uint8_t protocol, Peer from, Peer to) {
  return protocol == protocol::tcp ? tcp(from, to) : answer(protocol, from, to);
}

}  // namespace

TEST_CASE("filtering: rfc4787_req8 who may send to a mapping") {
  for (const FilteringCase& c : filtering_cases) {
    for (const std::uint8_t protocol : all_protocols) {
      for (const std::uint32_t shards : {1U, 8U}) {
        INFO(std::string(c.name));
        CAPTURE(int{protocol});
        Gateway gateway(policy_with(c.filtering), options_of(shards));
        const Peer external = gateway.open(protocol, blue, client, server);
        CHECK(gateway.answers(protocol, server, external, blue, client));
        const auto check = [&](Peer from, bool passes) {
          const Outcome received = gateway.in(knock(protocol, from, external));
          CHECK_EQ(received.reason, passes ? Reason::translated_inbound : Reason::filtered);
          if (!passes) return;
          CHECK_EQ(received.destination(), client);
          CHECK_EQ(received.namespace_id, blue);
        };
        // An echo has no remote port to be filtered by, and a reply is only from who was asked.
        const bool is_echo = protocol == protocol::icmp;
        if (!is_echo) check(same_host_other_port, c.other_port_passes);
        check(other_host, c.stranger_passes && !is_echo);
      }
    }
  }
}

TEST_CASE("filtering: an unmapped endpoint is nobody's, whatever the filtering") {
  for (const FilteringCase& c : filtering_cases) {
    for (const std::uint8_t protocol : all_protocols) {
      INFO(std::string(c.name));
      Gateway gateway(policy_with(c.filtering));
      const Peer external = gateway.open(protocol, blue, client, server);
      const auto other_port = static_cast<std::uint16_t>(external.port ^ 1);
      CHECK_EQ(gateway.in(knock(protocol, server, at(external, other_port))).reason,
               Reason::no_mapping);
      const Peer elsewhere{Host::of(203, 0, 113, 200), external.port};
      CHECK_EQ(gateway.in(knock(protocol, server, elsewhere)).reason, Reason::no_mapping);
      CHECK_EQ(gateway.in(knock(protocol, server, at(external, 80))).reason, Reason::no_mapping);
      CHECK_EQ(gateway.engine.session_count(), 1);
    }
  }
}

TEST_CASE("filtering: another protocol's mapping is none") {
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  CHECK_EQ(gateway.in(tcp(server, external)).reason, Reason::no_mapping);
  CHECK_EQ(gateway.in(echo_reply(server.address, external)).reason, Reason::no_mapping);
}

TEST_CASE("filtering: what was let in is answered from the same external endpoint") {
  for (const std::uint8_t protocol : {protocol::tcp, protocol::udp}) {
    Gateway gateway(policy_with(Filtering::endpoint_independent));
    const Peer external = gateway.open(protocol, blue, client, server);
    REQUIRE(gateway.in(knock(protocol, other_host, external)).accepted());
    const Outcome reply = gateway.out(blue, answer(protocol, client, other_host));
    REQUIRE_EQ(reply.reason, Reason::translated_outbound);
    CHECK_EQ(reply.source(), external);
    CHECK_EQ(reply.destination(), other_host);
    CHECK_EQ(gateway.engine.session_count(), 2);
  }
}

TEST_CASE("filtering: permission ends with the sessions that gave it") {
  Gateway gateway(policy_with(Filtering::address_dependent));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  gateway.travel(4min);
  REQUIRE_EQ(gateway.open(protocol::udp, blue, client, other_host), external);
  gateway.travel(61s);
  // The mapping lives on by the stranger's session; the server's is over.
  const Bytes late = udp(same_host_other_port, external);
  CHECK_EQ(gateway.in(late).reason, Reason::filtered);
  CHECK_EQ(gateway.in(udp(server, external)).reason, Reason::filtered);
  CHECK(gateway.answers(protocol::udp, other_host, external, blue, client));
  gateway.expire_all();
  CHECK_EQ(gateway.in(late).reason, Reason::filtered);
  CHECK(gateway.answers(protocol::udp, other_host, external, blue, client));
  // And comes back with a new one.
  CHECK_EQ(gateway.open(protocol::udp, blue, client, server), external);
  CHECK(gateway.in(late).accepted());
}

TEST_CASE("filtering: permission outlives one of the sessions that give it") {
  Gateway gateway(policy_with(Filtering::address_dependent));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  gateway.travel(4min);
  gateway.open(protocol::udp, blue, client, at(server, 81));
  gateway.travel(61s);
  gateway.expire_all();
  CHECK(gateway.in(udp(at(server, 82), external)).accepted());
}

TEST_CASE("filtering: a filtered packet neither refreshes nor makes a session") {
  Gateway gateway(policy_with(Filtering::address_dependent));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  for (int i = 0; i < 6; ++i) {
    CHECK_EQ(gateway.in(udp(other_host, external)).reason, Reason::filtered);
    CHECK_EQ(gateway.engine.session_count(), 1);
    gateway.travel(49s);
  }
  gateway.travel(10s);
  CHECK_EQ(gateway.in(udp(server, external)).reason, Reason::no_mapping);
}

TEST_CASE("filtering: the policy's change counts for the sessions that come") {
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  REQUIRE(gateway.in(udp(other_host, external)).accepted());
  gateway.set_policy(policy_with(Filtering::address_and_port_dependent));
  CHECK(gateway.in(udp(other_host, external)).accepted());
  CHECK_EQ(gateway.in(udp(at(other_host, 81), external)).reason, Reason::filtered);
  gateway.set_policy(policy_with(Filtering::endpoint_independent));
  CHECK(gateway.in(udp(at(other_host, 81), external)).accepted());
}
