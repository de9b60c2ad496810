// RFC 7857, updates to the three before.
#include <doctest/doctest.h>

#include "tests/support/connection.h"

namespace swnat::test {

TEST_CASE("rfc7857_section2_states") {
  Gateway gateway;
  Connection connection{gateway};
  const auto expires_in = [&] { return gateway.sessions().at(0).expires_in; };
  const Timeouts timeouts;
  connection.out(syn, 1000, 0);
  CHECK_EQ(connection.state(), "opening");
  CHECK_EQ(expires_in(), timeouts.tcp_transitory);
  connection.in(syn | ack, 5000, 1001);
  CHECK_EQ(connection.state(), "established");
  CHECK_EQ(expires_in(), timeouts.tcp_established);
  connection.out(ack, 1001, 5001);
  connection.in(fin | ack, 5001, 1001);
  CHECK_EQ(connection.state(), "half-closed");
  CHECK_EQ(expires_in(), timeouts.tcp_established);
  connection.out(fin | ack, 1001, 5002);
  connection.in(ack, 5002, 1002);
  CHECK_EQ(connection.state(), "closing");
  CHECK_EQ(expires_in(), timeouts.tcp_transitory);
}

TEST_CASE("rfc7857_section2_reset") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  CHECK_EQ(connection.in(rst, 5001, 0), Reason::translated_inbound);
  CHECK_EQ(gateway.sessions().at(0).expires_in, 4min);
  gateway.travel(3min);
  // Traffic that goes on shows that the receiver did not believe it.
  CHECK_EQ(connection.out(ack, 1001, 5001), Reason::translated_outbound);
  CHECK_EQ(connection.state(), "established");
  CHECK_EQ(connection.in(rst, 5001, 0), Reason::translated_inbound);
  gateway.travel(4min);
  CHECK_FALSE(verdict_of(connection.in(ack, 5001, 1001)) == Verdict::accept);
}

TEST_CASE("rfc7857_section2_closed_stays_closed") {
  for (const bool is_refused : {true, false}) {
    Gateway gateway;
    Connection connection{gateway};
    if (is_refused) {
      CHECK_EQ(connection.out(syn, 1000, 0), Reason::translated_outbound);
      CHECK_EQ(connection.in(rst | ack, 0, 1001), Reason::translated_inbound);
    } else {
      connection.handshake();
      connection.out(fin | ack, 1001, 5001);
      connection.in(fin | ack, 5001, 1002);
      connection.in(rst, 5002, 0);
    }
    connection.in(0, 300'000'000, 0);
    connection.in(ack, 5002, 1001);
    connection.out(ack, 1002, 5002);
    CHECK_EQ(connection.state(), is_refused ? "reset" : "closing");
    CHECK_EQ(gateway.sessions().at(0).expires_in, 4min);
  }
}

TEST_CASE("rfc7857_section7_inbound_does_not_refresh") {
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  for (int i = 0; i < 4; ++i) {
    gateway.travel(1min);
    CHECK(gateway.in(udp(server, external)).accepted());
    CHECK(gateway.in(udp(at(stranger, static_cast<std::uint16_t>(100 + i)), external)).accepted());
  }
  gateway.travel(1min);
  CHECK_FALSE(gateway.in(udp(server, external)).accepted());
}

TEST_CASE("rfc7857_section7_syns_of_new_remotes_keep_nothing") {
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::tcp, blue, client, server);
  Reason reason = Reason::translated_inbound;
  for (int i = 0; i < 10; ++i) {
    reason = gateway.in(tcp(at(stranger, static_cast<std::uint16_t>(100 + i)), external)).reason;
    gateway.travel(1min);
    gateway.expire_all();
  }
  CHECK_EQ(reason, Reason::no_mapping);
}

TEST_CASE("rfc7857_section7_errors_do_not_refresh") {
  Gateway gateway(policy_with(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  const Bytes came = gateway.in(udp(server, external, payload_of(9))).bytes;
  for (int i = 0; i < 4; ++i) {
    gateway.travel(1min);
    CHECK(gateway.out(blue, error_about(came, client.address, server.address)).accepted());
  }
  gateway.travel(1min);
  CHECK_FALSE(gateway.in(udp(server, external)).accepted());
}

}  // namespace swnat::test
