// A TCP connection's life as its session follows it.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/connection.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Policy freeing_at_once() {
  Policy policy = roomy_policy();
  policy.timeouts.tcp_transitory = 0ms;
  return policy;
}

}  // namespace

TEST_CASE("tcp_session: only a SYN opens, from inside and from outside") {
  const int others[] = {0,         fin,       rst,       ack,       push | ack,
                        fin | ack, rst | ack, syn | ack, syn | rst, syn | fin | rst};
  for (const int flags : others) {
    CAPTURE(flags);
    Policy policy = roomy_policy();
    policy.filtering = Filtering::endpoint_independent;
    Gateway gateway(policy);
    const TcpFields fields{.flags = static_cast<std::uint8_t>(flags)};
    CHECK_EQ(gateway.out(blue, tcp(client, server, fields)).reason, Reason::tcp_not_syn);
    CHECK_EQ(gateway.engine.session_count(), 0);
    const Peer external = gateway.open(protocol::tcp, blue, client, server);
    const Peer other{Host::of(192, 0, 2, 1), 999};
    CHECK_EQ(gateway.in(tcp(other, external, fields)).reason, Reason::foreign_segment);
    CHECK_EQ(gateway.engine.session_count(), 1);
  }
}

TEST_CASE("tcp_session: a SYN with the flags of RFC 3168 opens too") {
  Gateway gateway;
  CHECK(gateway.out(blue, tcp(client, server, {.flags = 0xc2})).accepted());
}

TEST_CASE("tcp_session: rfc5382_req4 an unsolicited SYN is dropped, and an outbound one wins") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::tcp, blue, client, at(server, 81));
  const Peer peer{Host::of(192, 0, 2, 1), 2000};
  CHECK_EQ(gateway.in(tcp(peer, external)).reason, Reason::filtered);
  CHECK_EQ(gateway.open(protocol::tcp, blue, client, peer), external);
  const Outcome received = gateway.in(tcp(peer, external));
  CHECK_EQ(received.reason, Reason::translated_inbound);
  CHECK_EQ(received.destination(), client);
}

TEST_CASE("tcp_session: rfc5382_req2 simultaneous open") {
  Gateway gateway;
  Connection connection{gateway};
  REQUIRE(verdict_of(connection.out(syn, 1000, 0)) == Verdict::accept);
  CHECK_EQ(connection.state(), "opening");
  REQUIRE(verdict_of(connection.in(syn, 5000, 0)) == Verdict::accept);
  REQUIRE(verdict_of(connection.out(syn | ack, 1000, 5001)) == Verdict::accept);
  CHECK_EQ(connection.state(), "opening");
  REQUIRE(verdict_of(connection.in(syn | ack, 5000, 1001)) == Verdict::accept);
  CHECK_EQ(connection.state(), "established");
}

TEST_CASE("tcp_session: one FIN and any number of sweeps leave a half-closed connection alone") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  connection.out(fin | ack, 1001, 5001);
  for (int i = 0; i < 60; ++i) {
    gateway.travel(1min);
    gateway.expire_all();
    REQUIRE_EQ(connection.in(ack, 5001, 1002), Reason::translated_inbound);
  }
  CHECK_EQ(connection.state(), "half-closed");
}

TEST_CASE("tcp_session: a closed one is freed at once if the policy says so") {
  Gateway gateway(freeing_at_once());
  Connection connection{gateway};
  connection.handshake();
  CHECK_EQ(connection.out(fin | ack, 1001, 5001), Reason::translated_outbound);
  CHECK_EQ(connection.in(fin | ack, 5001, 1002), Reason::translated_inbound);
  CHECK_EQ(gateway.engine.session_count(), 1);
  CHECK_EQ(connection.out(ack, 1002, 5002), Reason::translated_outbound);
  CHECK_EQ(gateway.engine.session_count(), 0);
  CHECK_EQ(gateway.session_count(blue), 0);
  CHECK_EQ(connection.out(ack, 1002, 5002), Reason::tcp_not_syn);
}

TEST_CASE("tcp_session: a reset one is freed at once too, after the reset is passed on") {
  Gateway gateway(freeing_at_once());
  Connection connection{gateway};
  connection.handshake();
  CHECK_EQ(connection.in(rst, 5001 + 900'000, 0), Reason::translated_inbound);
  CHECK_EQ(gateway.engine.session_count(), 1);
  CHECK_EQ(connection.in(rst, 5001, 0), Reason::translated_inbound);
  CHECK_EQ(gateway.engine.session_count(), 0);
  CHECK_EQ(connection.in(ack, 5001, 1001), Reason::no_mapping);
}

TEST_CASE("tcp_session: an opening one still has its time when closed ones have none") {
  Gateway gateway(freeing_at_once());
  Connection connection{gateway};
  REQUIRE(verdict_of(connection.out(syn, 1000, 0)) == Verdict::accept);
  gateway.travel(4min - 1ms);
  gateway.expire_all();
  CHECK_EQ(connection.in(syn | ack, 5000, 1001), Reason::translated_inbound);
}

TEST_CASE("tcp_session: other sessions of the mapping outlive a freed one") {
  Gateway gateway(freeing_at_once());
  Connection connection{gateway};
  connection.handshake();
  const Peer second = gateway.open(protocol::tcp, blue, client, at(server, 443));
  CHECK_EQ(second, connection.external);
  CHECK_EQ(connection.in(rst, 5001, 0), Reason::translated_inbound);
  CHECK_EQ(gateway.engine.session_count(), 1);
  CHECK(gateway.answers(protocol::tcp, at(server, 443), second, blue, client));
  CHECK_EQ(gateway.open(protocol::tcp, blue, client, server), second);
}

TEST_CASE("tcp_session: rfc5382_req10 a blind reset leaves the connection and its timeout") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  for (std::uint32_t guess = 0; guess < 64; ++guess) {
    connection.in(rst, 5001 + 100'000 + guess * 0x0300'0000, 0);
  }
  CHECK_EQ(connection.state(), "established");
  CHECK_EQ(gateway.sessions()[0].expires_in, Timeouts{}.tcp_established);
}

TEST_CASE("tcp_session: a flood of SYNs to a forward, which is answered, goes first and soon") {
  constexpr std::uint16_t flood = 200;
  const Peer service{external_host, 443};
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = flood + 1}};
  policy.forwards = {{.protocol = protocol::tcp,
                      .external = IpEndpoint{service.address, service.port},
                      .namespace_id = blue,
                      .to = IpEndpoint{at(client, 443).address, 443}}};
  Gateway gateway(policy);
  Connection connection{gateway};
  connection.handshake();
  gateway.travel(1min);
  for (std::uint16_t i = 0; i < flood; ++i) {
    const Peer nobody{Host::of(192, 0, 2, 1), static_cast<std::uint16_t>(1000 + i)};
    REQUIRE(gateway.in(tcp(nobody, service, {.sequence = 7000})).accepted());
    REQUIRE(gateway
                .out(blue, tcp(at(client, 443), nobody,
                               {.flags = syn | ack, .sequence = 500, .acknowledgment = 7001}))
                .accepted());
  }
  const auto count = [&](std::string_view state) {
    return std::ranges::count(gateway.sessions(), state, &SessionView::state);
  };
  CHECK_EQ(count("opening"), flood);
  for (const SessionView& view : gateway.sessions()) {
    if (view.state == "opening") CHECK_EQ(view.expires_in, 4min);
  }
  // The tenant is at its limit: its next session takes the place of one of these.
  REQUIRE(gateway.out(blue, tcp(at(client, 50'000), server)).accepted());
  CHECK_EQ(count("established"), 1);
  CHECK_EQ(gateway.session_count(blue), flood + 1);
  gateway.travel(4min);
  gateway.expire_all();
  CHECK_EQ(gateway.session_count(blue), 1);
}

TEST_CASE("tcp_session: a segment without acknowledgment does not prolong an established session") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  gateway.travel(1min);
  for (const std::uint8_t flags : {std::uint8_t{0}, push, fin}) {
    CHECK_EQ(connection.in(flags, 5001, 0), Reason::translated_inbound);
    CHECK_EQ(connection.out(flags, 1001, 0), Reason::translated_outbound);
  }
  CHECK_EQ(connection.state(), "established");
  CHECK_EQ(gateway.sessions()[0].idle, 1min);
}
