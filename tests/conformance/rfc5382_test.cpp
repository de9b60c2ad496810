// RFC 5382, NAT behaviour for TCP.
#include <doctest/doctest.h>

#include <set>

#include "tests/support/connection.h"
#include "tests/support/filtering_cases.h"

namespace swnat::test {

TEST_CASE("rfc5382_req1_endpoint_independent_mapping") {
  Gateway gateway(roomy_policy(), options_of(4));
  const Peer external = gateway.open(protocol::tcp, blue, client, server);
  for (const Peer remote : {at(server, 443), stranger, at(stranger, 1)}) {
    CHECK_EQ(gateway.open(protocol::tcp, blue, client, remote), external);
  }
  CHECK_NE(gateway.open(protocol::tcp, green, client, server), external);
}

TEST_CASE("rfc5382_req2_three_way_handshake_and_half_close") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  CHECK_EQ(connection.state(), "established");
  CHECK_EQ(connection.out(fin | ack, 1001, 5001), Reason::translated_outbound);
  for (int i = 0; i < 3; ++i) {  // the other direction goes on, for as long as it likes
    gateway.travel(2h);
    gateway.expire_all();
    CHECK_EQ(connection.in(push | ack, 5001, 1002), Reason::translated_inbound);
    CHECK_EQ(connection.out(ack, 1002, 5001), Reason::translated_outbound);
  }
  CHECK_EQ(connection.in(fin | ack, 5001, 1002), Reason::translated_inbound);
  CHECK_EQ(connection.out(ack, 1002, 5002), Reason::translated_outbound);
  CHECK_EQ(connection.state(), "closing");
}

TEST_CASE("rfc5382_req2_simultaneous_open") {
  Gateway gateway;
  Connection connection{gateway};
  CHECK_EQ(connection.out(syn, 1000, 0), Reason::translated_outbound);
  CHECK_EQ(connection.in(syn, 5000, 0), Reason::translated_inbound);
  CHECK_EQ(connection.out(syn | ack, 1000, 5001), Reason::translated_outbound);
  CHECK_EQ(connection.in(syn | ack, 5000, 1001), Reason::translated_inbound);
  CHECK_EQ(connection.state(), "established");
}

TEST_CASE("rfc5382_req2_reopening") {
  // From inside by a SYN; from outside by the answer to one, which no stranger can make.
  for (const bool from_inside : {true, false}) {
    Gateway gateway;
    Connection connection{gateway};
    connection.handshake();
    CHECK_EQ(connection.out(fin | ack, 1001, 5001), Reason::translated_outbound);
    CHECK_EQ(connection.in(fin | ack, 5001, 1002), Reason::translated_inbound);
    CHECK_EQ(connection.out(ack, 1002, 5002), Reason::translated_outbound);
    CHECK_EQ(connection.state(), "closing");
    if (from_inside) {
      CHECK_EQ(connection.out(syn, 90'000, 0), Reason::translated_outbound);
      CHECK_EQ(connection.state(), "opening");
      CHECK_EQ(connection.in(syn | ack, 70'000, 90'001), Reason::translated_inbound);
    } else {
      CHECK_EQ(connection.in(syn, 70'000, 0), Reason::translated_inbound);
      CHECK_EQ(connection.state(), "closing");
      CHECK_EQ(connection.out(syn | ack, 90'000, 70'001), Reason::translated_outbound);
      CHECK_EQ(connection.state(), "opening");
      CHECK_EQ(connection.in(ack, 70'001, 90'001), Reason::translated_inbound);
    }
    CHECK_EQ(connection.state(), "established");
    CHECK_EQ(gateway.engine.session_count(), 1);
  }
}

TEST_CASE("rfc5382_req2_spoofed_syn") {
  // One that meets a session which is opening: the answer of whom it is about decides.
  for (const bool is_refused : {true, false}) {
    Gateway gateway;
    Connection connection{gateway};
    CHECK_EQ(connection.out(syn, 1000, 0), Reason::translated_outbound);
    CHECK_EQ(connection.in(syn, 900'000'000, 0), Reason::translated_inbound);
    CHECK_EQ(connection.state(), "opening");
    if (is_refused) {
      CHECK_EQ(connection.in(rst | ack, 0, 1001), Reason::translated_inbound);
      CHECK_EQ(connection.state(), "reset");
    } else {
      CHECK_EQ(connection.in(syn | ack, 5000, 1001), Reason::translated_inbound);
      CHECK_EQ(connection.state(), "established");
    }
  }
  // One that the inside answers, though nobody hears that.
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  Connection connection{gateway};
  connection.handshake();
  const auto out = [&](std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledgment) {
    return gateway.out(
        blue, tcp(client, stranger,
                  {.flags = flags, .sequence = sequence, .acknowledgment = acknowledgment}));
  };
  CHECK(gateway.in(tcp(stranger, connection.external, {.sequence = 7000})).accepted());
  CHECK(out(syn | ack, 3000, 7001).accepted());
  gateway.travel(4min);
  gateway.expire_all();
  CHECK_EQ(gateway.engine.session_count(), 1);
}

TEST_CASE("rfc5382_req2_second_connection") {
  // Both ends lost the first one silently, or it was never answered; whoever opened it does again.
  for (const bool is_opening : {true, false}) {
    for (const bool from_inside : {true, false}) {
      if (is_opening && !from_inside) continue;
      Gateway gateway;
      Connection connection{gateway};
      if (is_opening) {
        CHECK_EQ(connection.out(syn, 1000, 0), Reason::translated_outbound);
      } else {
        connection.handshake();
      }
      if (from_inside) {
        CHECK_EQ(connection.out(syn, 2'000'000'000, 0), Reason::translated_outbound);
        CHECK_EQ(connection.in(syn | ack, 90'000, 2'000'000'001), Reason::translated_inbound);
      } else {
        CHECK_EQ(connection.in(syn, 90'000, 0), Reason::translated_inbound);
        CHECK_EQ(connection.out(syn | ack, 2'000'000'000, 90'001), Reason::translated_outbound);
        CHECK_EQ(connection.in(ack, 90'001, 2'000'000'001), Reason::translated_inbound);
      }
      CHECK_EQ(connection.out(ack, 2'000'000'001, 90'001), Reason::translated_outbound);
      CHECK_EQ(connection.state(), "established");
      CHECK_EQ(connection.out(fin | ack, 2'000'000'001, 90'001), Reason::translated_outbound);
      CHECK_EQ(connection.in(fin | ack, 90'001, 2'000'000'002), Reason::translated_inbound);
      CHECK_EQ(connection.out(ack, 2'000'000'002, 90'002), Reason::translated_outbound);
      CHECK_EQ(connection.state(), "closing");
      CHECK_EQ(gateway.engine.session_count(), 1);
    }
  }
}

TEST_CASE("rfc5382_req2_missed_packets") {
  // Packets of it took another way for a time; the next ones are far from those seen last.
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  CHECK_EQ(connection.in(ack, 500'000'000, 300'000'000), Reason::translated_inbound);
  CHECK_EQ(connection.out(ack, 300'000'000, 500'000'000), Reason::translated_outbound);
  CHECK_EQ(connection.out(fin | ack, 300'000'000, 500'000'000), Reason::translated_outbound);
  CHECK_EQ(connection.in(fin | ack, 500'000'000, 300'000'001), Reason::translated_inbound);
  CHECK_EQ(connection.out(ack, 300'000'001, 500'000'001), Reason::translated_outbound);
  CHECK_EQ(connection.state(), "closing");
}

TEST_CASE("rfc5382_req2_challenged_syn") {
  // RFC 9293 section 3.10.7.4: whoever still has the connection challenges a SYN in it, so a
  // stranger's changes nothing, whatever else follows in its name.
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  CHECK_EQ(connection.in(syn, 90'000'000, 0), Reason::translated_inbound);
  CHECK_EQ(connection.out(ack, 1001, 5001), Reason::translated_outbound);
  connection.in(ack, 90'000'001, 70'000'000);
  connection.in(fin | ack, 90'000'001, 70'000'000);
  connection.in(rst, 90'000'001, 0);
  CHECK_EQ(connection.state(), "established");
  // Its own client resets the old connection, with the number that the challenge asks for.
  CHECK_EQ(connection.in(syn, 80'000'000, 0), Reason::translated_inbound);
  CHECK_EQ(connection.out(ack, 1001, 5001), Reason::translated_outbound);
  CHECK_EQ(connection.in(rst, 5001, 0), Reason::translated_inbound);
  CHECK_EQ(connection.state(), "reset");
}

TEST_CASE("rfc5382_req3_filtering") {
  for (const FilteringCase& c : filtering_cases) {
    Gateway gateway(policy_with(c.filtering), options_of(4));
    const Peer external = gateway.open(protocol::tcp, blue, client, server);
    CHECK_EQ(gateway.in(tcp(at(server, 4444), external)).accepted(), c.other_port_passes);
    CHECK_EQ(gateway.in(tcp(stranger, external)).accepted(), c.stranger_passes);
  }
}

TEST_CASE("rfc5382_req4_unsolicited_syn") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::tcp, blue, client, at(server, 81));
  // Nothing is said to it, and whoever meant to open the same connection from inside still can.
  const Bytes unsolicited = tcp(stranger, external, {.sequence = 5000});
  CHECK_FALSE(gateway.in(unsolicited).accepted());
  gateway.travel(5s);
  CHECK_EQ(gateway.open(protocol::tcp, blue, client, stranger), external);
  const Outcome again = gateway.in(unsolicited);
  REQUIRE(again.accepted());
  CHECK_EQ(again.destination(), client);
}

TEST_CASE("rfc5382_req4_not_the_nats") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::tcp, blue, client, server);
  const Bytes to_nobody = tcp(stranger, {external_host, 50000});
  const Bytes to_mapping = tcp(stranger, external);
  const Bytes stray = tcp(at(server, 81), external, {.flags = ack});
  for (const Bytes& packet : {to_nobody, to_mapping, stray}) {
    const Outcome passed = gateway.in(packet);
    CHECK_EQ(verdict_of(passed.reason), Verdict::pass);
    CHECK_EQ(passed.bytes, packet);
    CHECK_EQ(passed.namespace_id, 0);
  }
  const Outcome asked = gateway.hairpin(green, tcp(client, {external_host, 50000}));
  CHECK_EQ(verdict_of(asked.reason), Verdict::pass);
  CHECK_EQ(asked.bytes, tcp(client, {external_host, 50000}));
  CHECK_EQ(gateway.engine.session_count(), 1);
  // But nothing leaves untranslated.
  CHECK_EQ(verdict_of(gateway.out(blue, tcp(client, stranger, {.flags = ack})).reason),
           Verdict::drop);
}

TEST_CASE("rfc5382_req5_timers") {
  CHECK_GE(Policy{}.timeouts.tcp_established, 2h + 4min);
  CHECK_GE(Policy{}.timeouts.tcp_transitory, 4min);
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  gateway.travel(2h + 4min - 1ms);
  CHECK_EQ(connection.in(ack, 5001, 1001), Reason::translated_inbound);
  gateway.travel(2h + 4min);
  CHECK_FALSE(verdict_of(connection.in(ack, 5001, 1001)) == Verdict::accept);

  REQUIRE_EQ(connection.out(syn, 1000, 0), Reason::translated_outbound);
  gateway.travel(4min - 1ms);
  CHECK_EQ(connection.in(syn | ack, 5000, 1001), Reason::translated_inbound);
}

TEST_CASE("rfc5382_req6_no_alg") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  const Bytes payload = text("PORT 10,0,0,2,156,64\r\n");
  const TcpFields fields{.flags = push | ack, .sequence = 1001, .acknowledgment = 5001};
  const Outcome passed = gateway.out(blue, tcp(client, server, fields, payload));
  REQUIRE(passed.accepted());
  CHECK_EQ(Bytes(passed.bytes.begin() + 40, passed.bytes.end()), payload);
}

TEST_CASE("rfc5382_req7_no_port_overloading") {
  constexpr std::uint16_t ports = 32;
  Gateway gateway(policy_with(PortRange{40000, 40000 + ports - 1}));
  std::set<std::uint16_t> used;
  for (std::uint16_t port = 1; port <= ports; ++port) {
    used.insert(gateway.open(protocol::tcp, blue, at(client, port), server).port);
  }
  CHECK_EQ(used.size(), ports);
  CHECK_EQ(gateway.out(green, tcp(client, stranger)).reason, Reason::no_free_port);
}

TEST_CASE("rfc5382_req8_hairpin") {
  Gateway gateway(policy_with(Filtering::endpoint_independent), options_of(4));
  const Peer external = gateway.open(protocol::tcp, green, neighbour, server);
  const Outcome passed = gateway.hairpin(blue, tcp(client, external));
  REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
  CHECK_EQ(passed.destination(), neighbour);
  const Outcome back = gateway.hairpin(
      green, tcp(neighbour, passed.source(), {.flags = syn | ack, .acknowledgment = 1001}));
  REQUIRE_EQ(back.reason, Reason::translated_hairpin);
  CHECK_EQ(back.source(), external);
  CHECK_EQ(back.destination(), client);
  CHECK_EQ(back.namespace_id, blue);
}

TEST_CASE("rfc5382_req9_icmp_unreachable") {
  Gateway gateway;
  const Outcome left = gateway.out(blue, tcp(client, server));
  for (std::uint8_t code = 0; code < 16; ++code) {
    const Outcome error = gateway.in(error_about(left.bytes, router, external_host, {3, code}));
    REQUIRE(error.accepted());
    CHECK_EQ(error.namespace_id, blue);
    CHECK_EQ(source_of(quoted_in(error.bytes)), client);
  }
}

TEST_CASE("rfc5382_req10_icmp_ends_nothing") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  const auto segment = [](Peer from, Peer to) { return tcp(from, to, {.flags = ack}); };
  gateway.travel(10s);
  for (const IcmpKind kind : {IcmpKind{3, 1}, IcmpKind{3, 3}, IcmpKind{11, 0}, IcmpKind{12, 0}}) {
    const Bytes left = segment(connection.external, server);
    CHECK(gateway.in(error_about(left, router, external_host, kind)).accepted());
    const Bytes came = segment(server, client);
    CHECK(gateway.out(blue, error_about(came, client.address, server.address, kind)).accepted());
  }
  CHECK_EQ(connection.state(), "established");
  CHECK_EQ(gateway.sessions()[0].idle, 10s);
}

}  // namespace swnat::test
