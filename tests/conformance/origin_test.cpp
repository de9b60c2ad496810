// Defects of the Go library that swnat follows, each by the packets that show it there.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <set>
#include <thread>

#include "tests/support/connection.h"

namespace swnat::test {

TEST_CASE("origin_port_handed_out_twice") {
  Gateway gateway(policy_with(PortRange{40000, 40127}));
  std::set<std::uint16_t> used;
  for (std::uint16_t port = 1; port <= 64; ++port) {
    for (const NamespaceId id : {blue, green}) {
      const Peer external = gateway.open(protocol::udp, id, at(client, port), server);
      used.insert(external.port);
      CHECK(gateway.answers(protocol::udp, server, external, id, at(client, port)));
    }
  }
  CHECK_EQ(used.size(), 128);
}

TEST_CASE("origin_racing_tenants_leave_orphans") {
  Policy policy = policy_with(PortRange{40000, 40127});
  Gateway gateway(policy, options_of(4));
  std::atomic<bool> go = false;
  const auto race = [&](NamespaceId id) {
    while (!go) std::this_thread::yield();
    for (int round = 0; round < 2000; ++round) {
      const auto port = static_cast<std::uint16_t>(1000 + round % 16);
      Bytes packet = udp(at(client, port), server);
      gateway.engine.outbound(packet, id, gateway.now);
    }
  };
  std::thread one(race, blue);
  std::thread other(race, green);
  go = true;
  one.join();
  other.join();
  CHECK_EQ(gateway.engine.session_count(), 32);
  CHECK_EQ(gateway.sessions().size(), 32);
  // When their time is over nothing is left: no session, no count, no port.
  gateway.travel(6min);
  gateway.expire_all();
  CHECK_EQ(gateway.engine.session_count(), 0);
  CHECK_EQ(gateway.session_count(blue) + gateway.session_count(green), 0);
  gateway.travel(2min);  // the ports rest
  std::set<std::uint16_t> used;
  for (std::uint16_t port = 1; port <= 128; ++port) {
    used.insert(gateway.open(protocol::udp, blue, at(client, port), server).port);
  }
  CHECK_EQ(used.size(), 128);
}

TEST_CASE("origin_closing_sessions_escape_the_limit") {
  Policy policy = roomy_policy();
  policy.namespaces[0].session_limit = 10;
  Gateway gateway(policy);
  for (std::uint16_t port = 1; port <= 100; ++port) {
    const Peer internal = at(client, port);
    const Peer external = gateway.open(protocol::tcp, blue, internal, server);
    REQUIRE(gateway.answers(protocol::tcp, server, external, blue, internal));
    gateway.out(blue, tcp(internal, server, {.flags = rst | ack, .sequence = 1001}));
    gateway.travel(1s);
  }
  CHECK_EQ(gateway.engine.session_count(), 10);
}

TEST_CASE("origin_limit_of_each_protocol") {
  Policy policy = roomy_policy();
  policy.namespaces[0].session_limit = 10;
  Gateway gateway(policy);
  for (std::uint16_t port = 1; port <= 10; ++port) {
    for (const std::uint8_t protocol : all_protocols) {
      gateway.open(protocol, blue, at(client, port), server);
    }
  }
  CHECK_EQ(gateway.session_count(blue), 10);
}

TEST_CASE("origin_last_port_never_used") {
  Gateway gateway(policy_with(PortRange{65535, 65535}), options_of(1));
  CHECK_EQ(gateway.open(protocol::udp, blue, at(client, 1), server).port, 65535);
}

TEST_CASE("origin_half_closed_session_swept") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  connection.out(fin | ack, 1001, 5001);
  gateway.travel(1h);
  gateway.expire_all();
  CHECK_EQ(connection.in(push | ack, 5001, 1002), Reason::translated_inbound);
}

TEST_CASE("origin_any_segment_opens") {
  Gateway gateway;
  for (const std::uint8_t flags : {ack, rst, fin, std::uint8_t{syn | ack}, std::uint8_t{0}}) {
    CHECK_FALSE(gateway.out(blue, tcp(client, server, {.flags = flags})).accepted());
  }
  CHECK_EQ(gateway.engine.session_count(), 0);
}

TEST_CASE("origin_any_reset_closes") {
  Gateway gateway;
  Connection connection{gateway};
  connection.handshake();
  connection.in(rst, 5001 + 1'000'000, 0);
  connection.out(rst, 1001 - 1, 0);
  CHECK_EQ(connection.state(), "established");
}

TEST_CASE("origin_reserved_tcp_bits_zeroed") {
  Gateway gateway;
  const Bytes sent = tcp(client, server, {.flags = 0xc2, .reserved = 0x0f});
  const Outcome passed = gateway.out(blue, sent);
  REQUIRE(passed.accepted());
  CHECK_EQ(int{passed.bytes[32]}, int{sent[32]});
  CHECK_EQ(int{passed.bytes[33]}, int{sent[33]});
  CHECK(sums_right(passed.bytes));
}

TEST_CASE("origin_fragment_payload_rewritten") {
  Gateway gateway;
  gateway.open(protocol::udp, blue, client, server);
  // A later fragment whose first bytes look like the session's ports.
  const Bytes later = udp(client, server, payload_of(64), {.fragment = 0x0010});
  const Outcome passed = gateway.out(blue, later);
  CHECK_EQ(Bytes(passed.bytes.begin() + 20, passed.bytes.end()),
           Bytes(later.begin() + 20, later.end()));
}

TEST_CASE("origin_udp_sum_of_zero") {
  // One of these payloads makes each sum, that of zero too, which says "no checksum" and must not.
  Gateway gateway;
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  const std::uint16_t bare =
      right_transport_checksum(udp(external, server, {0, 0}));  // what the two bytes must add
  const Bytes sent =
      udp(client, server, {static_cast<std::uint8_t>(bare >> 8), static_cast<std::uint8_t>(bare)});
  const Outcome passed = gateway.out(blue, sent);
  CHECK_EQ(word_at(passed.bytes, transport_checksum_offset(passed.bytes)), 0xffff);

  const Bytes without = unsummed(sent);
  const Outcome still_without = gateway.out(blue, without);
  CHECK_EQ(word_at(still_without.bytes, transport_checksum_offset(without)), 0);
}

TEST_CASE("origin_bytes_beyond_the_packet_summed") {
  Gateway gateway;
  Bytes padded = udp(client, server, payload_of(5));
  const std::size_t size = padded.size();
  padded.insert(padded.end(), {0xde, 0xad, 0xbe, 0xef});
  Outcome passed = gateway.out(blue, padded);
  REQUIRE(passed.accepted());
  CHECK_EQ(Bytes(passed.bytes.begin() + static_cast<std::ptrdiff_t>(size), passed.bytes.end()),
           Bytes{0xde, 0xad, 0xbe, 0xef});
  passed.bytes.resize(size);
  CHECK(sums_right(passed.bytes));
}

TEST_CASE("origin_damage_hidden") {
  Gateway gateway;
  for (const std::uint8_t protocol : all_protocols) {
    Bytes damaged = opening(protocol, client, server);
    damaged.back() ^= 0x40;
    if (protocol == protocol::tcp) damaged[34] ^= 0x01;  // the window
    const Outcome passed = gateway.out(blue, damaged);
    REQUIRE(passed.accepted());
    CHECK_FALSE(transport_checksum_is_right(passed.bytes));
    CHECK_EQ(transport_damage(passed.bytes), transport_damage(damaged));
  }
}

TEST_CASE("origin_outbound_icmp_error_shows_the_private_source") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  const Bytes came = gateway.in(udp(server, external, payload_of(9))).bytes;
  const Outcome passed = gateway.out(blue, error_about(came, client.address, server.address));
  REQUIRE(passed.accepted());
  CHECK_EQ(passed.source().address.wire, external_host.wire);
  CHECK_EQ(destination_of(quoted_in(passed.bytes)), external);
  // And one about nothing that it was sent does not leave at all.
  const Bytes never_came = udp(stranger, client, payload_of(9));
  CHECK_FALSE(
      gateway.out(blue, error_about(never_came, client.address, stranger.address)).accepted());
}

TEST_CASE("origin_inbound_icmp_error_dropped") {
  Gateway gateway;
  const Bytes left = gateway.out(blue, tcp(client, server)).bytes;
  const Outcome passed = gateway.in(error_about(left, router, external_host, {11, 0}));
  CHECK_EQ(passed.reason, Reason::translated_inbound);
  CHECK_EQ(passed.destination().address.wire, client.address.wire);
}

TEST_CASE("origin_expired_session_matches") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  gateway.travel(5min);  // nobody has swept
  CHECK_FALSE(gateway.in(udp(server, external)).accepted());
}

TEST_CASE("origin_step_of_the_clock_expires_everything") {
  // The engine reads no clock, so what the wall clock does is nothing to it. Its own time may begin
  // anywhere, pass any power of two, and be a little behind in one thread.
  for (const Time start : {0ms, Time(1LL << 31), Time((1LL << 32) - 1000), Time(1LL << 40)}) {
    Gateway gateway;
    gateway.now = start;
    const Peer external = gateway.open(protocol::udp, blue, client, server);
    gateway.travel(2s);
    gateway.expire_all();
    CHECK(gateway.answers(protocol::udp, server, external, blue, client));
    gateway.travel(-1s);
    gateway.expire_all();
    CHECK(gateway.answers(protocol::udp, server, external, blue, client));
  }
}

TEST_CASE("origin_wrong_lengths_read_anyway") {
  Gateway gateway;
  const auto drops = [&](const Bytes& packet) {
    // Exactly its own memory, so that a sanitizer sees any byte that is read beyond.
    const auto exact = std::make_unique<std::uint8_t[]>(packet.size());
    std::copy(packet.begin(), packet.end(), exact.get());
    const Reason reason =
        gateway.engine.outbound({exact.get(), packet.size()}, blue, gateway.now).reason;
    return verdict_of(reason) == Verdict::drop;
  };
  for (const std::uint8_t protocol : all_protocols) {
    const Bytes whole = opening(protocol, client, server);
    CHECK_FALSE(drops(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CHECK(drops(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))));
    }
    Bytes long_header = whole;
    long_header[0] = 0x4f;
    CHECK(drops(long_header));
    Bytes short_total = whole;
    set_word(short_total, 2, 21);
    CHECK(drops(short_total));
  }
  Bytes long_offset = tcp(client, server);
  long_offset[32] = 0xf0;
  CHECK(drops(long_offset));
  Bytes long_datagram = udp(client, server, payload_of(4));
  set_word(long_datagram, 24, 500);
  CHECK(drops(long_datagram));
}

}  // namespace swnat::test
