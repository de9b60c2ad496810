// Packets of IPv6: every protocol, direction and checksum state, extension headers, addresses.
#include <doctest/doctest.h>

#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Bytes payload_in(const Bytes& packet) {
  const std::size_t header = protocol_of(packet) == protocol::tcp ? 20 : 8;
  return Bytes(packet.begin() + static_cast<std::ptrdiff_t>(transport_offset(packet) + header),
               packet.end());
}

}  // namespace

TEST_CASE("ipv6: out and back in, each protocol, with right checksums") {
  for (const std::uint8_t protocol : all_protocols) {
    for (const std::uint32_t shards : {1U, 4U, 64U}) {
      CAPTURE(int{protocol});
      CAPTURE(shards);
      Gateway gateway(policy_of_both(), options_of(shards));
      const Bytes sent = opening(protocol, client6, server6);
      const Outcome left = gateway.out(blue, sent);
      REQUIRE_EQ(left.reason, Reason::translated_outbound);
      const Peer6 external = source6_of(left.bytes);
      CHECK((external.address == external_host6));
      CHECK((destination6_of(left.bytes).address == server6.address));
      CHECK(sums_right(left.bytes));
      CHECK_EQ(payload_in(left.bytes), payload_in(sent));
      CHECK_EQ(left.bytes.size(), sent.size());
      CHECK_EQ(Bytes(left.bytes.begin(), left.bytes.begin() + 8),
               Bytes(sent.begin(), sent.begin() + 8));
      const Outcome came = gateway.in(answer(protocol, server6, external));
      REQUIRE_EQ(came.reason, Reason::translated_inbound);
      CHECK_EQ(came.namespace_id, blue);
      CHECK_EQ(destination6_of(came.bytes), client6);
      CHECK((source6_of(came.bytes).address == server6.address));
      CHECK(sums_right(came.bytes));
      // Found again, and the namespace's twin has an endpoint of its own.
      CHECK_EQ(open<V6>(gateway, protocol, blue, client6, server6), external);
      CHECK_NE(open<V6>(gateway, protocol, green, client6, server6), external);
    }
  }
}

TEST_CASE("ipv6: partial and segmented checksums") {
  for (const std::uint8_t protocol : {protocol::tcp, protocol::udp}) {
    for (const ChecksumState state : {ChecksumState::partial, ChecksumState::segmented}) {
      for (const bool established : {false, true}) {
        for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{2999}}) {
          CAPTURE(int{protocol});
          CAPTURE(size);
          Gateway gateway(policy_of_both());
          if (established) open<V6>(gateway, protocol, blue, client6, server6);
          const Bytes packet = protocol == protocol::tcp
                                   ? tcp(client6, server6, {}, payload_of(size))
                                   : udp(client6, server6, payload_of(size));
          const Outcome left = gateway.out(blue, pseudo_summed(packet), state);
          REQUIRE(left.accepted());
          const bool stays_open = protocol == protocol::udp && state == ChecksumState::segmented;
          if (stays_open) {
            CHECK_EQ(word_at(left.bytes, transport_checksum_offset(packet)),
                     pseudo_header_sum(left.bytes));
          } else {
            CHECK(transport_checksum_is_right(left.bytes));
          }
        }
      }
    }
  }
}

TEST_CASE("ipv6: damage stays as visible as it was") {
  for (const std::uint8_t protocol : all_protocols) {
    Gateway gateway(policy_of_both());
    Bytes packet = opening(protocol, client6, server6);
    packet.back() ^= 0x24;
    const Outcome left = gateway.out(blue, packet);
    REQUIRE(left.accepted());
    CHECK_NE(transport_damage(left.bytes), 0);
    CHECK_EQ(transport_damage(left.bytes), transport_damage(packet));
  }
}

TEST_CASE("ipv6: rfc8200 section 8.1: a datagram without a checksum is no datagram") {
  Gateway gateway(policy_of_both());
  const Bytes packet = unsummed(udp(client6, server6, payload_of(8)));
  const Outcome left = gateway.out(blue, packet);
  // Whatever is done with it, no good checksum is made up for it.
  if (left.accepted()) CHECK_EQ(word_at(left.bytes, transport_checksum_offset(packet)), 0);
}

TEST_CASE("ipv6: extension headers are passed over and left as they are") {
  struct Case {
    const char* name;
    Extensions extensions;
  };
  const Case cases[] = {
      {"hop-by-hop", {hop_by_hop()}},
      {"a long hop-by-hop", {hop_by_hop(64)}},
      {"destination options", {destination_options()}},
      {"routing that is done", {routing(0)}},
      {"an atomic fragment", {atomic_fragment(77)}},
      {"all", {hop_by_hop(), routing(0), atomic_fragment(5), destination_options(16)}},
  };
  for (const Case& c : cases) {
    for (const std::uint8_t protocol : all_protocols) {
      INFO(std::string(c.name));
      CAPTURE(int{protocol});
      Gateway gateway(policy_of_both(), options_of(4));
      const auto build = [&](Peer6 from, Peer6 to, bool back) {
        if (protocol == protocol::udp) return udp(from, to, payload_of(9), c.extensions);
        if (protocol == protocol::tcp) {
          return tcp(from, to, {.flags = std::uint8_t(back ? 0x12 : 2), .acknowledgment = 1001}, {},
                     c.extensions);
        }
        return back ? echo_reply(from.address, to, payload_of(9), c.extensions)
                    : echo_request(from, to.address, payload_of(9), c.extensions);
      };
      const Bytes sent = build(client6, server6, false);
      const Outcome left = gateway.out(blue, sent);
      REQUIRE_EQ(left.reason, Reason::translated_outbound);
      CHECK(transport_checksum_is_right(left.bytes));
      CHECK_EQ(left.bytes.size(), sent.size());
      const Outcome came = gateway.in(build(server6, source6_of(left.bytes), true));
      REQUIRE_EQ(came.reason, Reason::translated_inbound);
      CHECK_EQ(destination6_of(came.bytes), client6);
      CHECK(transport_checksum_is_right(came.bytes));
    }
  }
}

TEST_CASE("ipv6: a source route that is not done is no destination to translate for") {
  // The pseudo-header has the final destination, which stands elsewhere (RFC 8200 section 8.1).
  Gateway gateway(policy_of_both());
  const Bytes packet = udp(client6, server6, payload_of(9), {routing(1)});
  const Outcome left = gateway.out(blue, packet);
  CHECK_FALSE(left.accepted());
  CHECK_EQ(left.bytes, packet);
}

TEST_CASE("ipv6: every truncation is dropped, untouched") {
  const Bytes whole = tcp(client6, server6, {}, payload_of(3), {hop_by_hop(), routing(0)});
  for (const bool claims_less : {false, true}) {
    for (std::size_t size = 0; size < whole.size() - 3; ++size) {
      CAPTURE(size);
      Gateway gateway(policy_of_both());
      Bytes packet(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      if (claims_less && size >= 40) set_word(packet, 4, static_cast<std::uint16_t>(size - 40));
      const Outcome left = gateway.out(blue, packet);
      CHECK_FALSE(left.accepted());
      CHECK_EQ(left.bytes, packet);
      CHECK_EQ(gateway.engine.session_count(), 0);
    }
  }
}

TEST_CASE("ipv6: bytes beyond the payload length are no part of the packet") {
  Gateway gateway(policy_of_both());
  Bytes packet = udp(client6, server6, payload_of(9));
  const Bytes trailer = payload_of(7, 9);
  packet.insert(packet.end(), trailer.begin(), trailer.end());
  const Outcome left = gateway.out(blue, packet);
  REQUIRE(left.accepted());
  CHECK_EQ(Bytes(left.bytes.end() - 7, left.bytes.end()), trailer);
  const Bytes without(left.bytes.begin(), left.bytes.end() - 7);
  CHECK(transport_checksum_is_right(without));
}

TEST_CASE("ipv6: addresses that no host beyond its link has are dropped") {
  const Host6 bad[] = {
      host6({0, 0, 0, 0, 0, 0, 0, 0}),
      host6({0, 0, 0, 0, 0, 0, 0, 1}),
      host6({0xff02, 0, 0, 0, 0, 0, 0, 1}),
      host6({0xff0e, 0, 0, 0, 0, 0, 0, 0x101}),
      host6({0xfe80, 0, 0, 0, 0, 0, 0, 2}),
      host6({0xfebf, 0, 0, 0, 0, 0, 0, 2}),
      host6({0, 0, 0, 0, 0, 0xffff, 0xc633, 0x6407}),
  };
  for (const Host6& address : bad) {
    Gateway gateway(policy_of_both());
    for (const std::uint8_t protocol : all_protocols) {
      CHECK_EQ(gateway.out(blue, opening(protocol, {address, 4000}, server6)).reason,
               Reason::invalid_address);
      CHECK_EQ(gateway.out(blue, opening(protocol, client6, {address, 80})).reason,
               Reason::invalid_address);
    }
    const Peer6 external = open<V6>(gateway, protocol::udp, blue, client6, server6);
    CHECK_FALSE(gateway.in(udp({address, 80}, external)).accepted());
    Policy open_to_all = policy_of_both();
    open_to_all.filtering = Filtering::endpoint_independent;
    gateway.set_policy(open_to_all);
    CHECK_EQ(gateway.in(udp({address, 80}, external)).reason, Reason::invalid_address);
  }
  const Host6 good[] = {
      host6({0xfd00, 0, 0, 0, 0, 0, 0, 2}),
      host6({0xfec0, 0, 0, 0, 0, 0, 0, 2}),
      host6({0x64, 0xff9b, 0, 0, 0, 0, 0xc633, 0x6407}),
      host6({0x2002, 0xc633, 0x6407, 0, 0, 0, 0, 1}),
      host6({1, 0, 0, 0, 0, 0, 0, 0}),
  };
  for (const Host6& address : good) {
    Gateway gateway(policy_of_both());
    CHECK(gateway.out(blue, udp({address, 4000}, server6)).accepted());
  }
}

TEST_CASE("ipv6: port 0 and unknown namespaces") {
  Gateway gateway(policy_of_both());
  CHECK_EQ(gateway.out(blue, udp(at(client6, 0), server6)).reason, Reason::invalid_port);
  CHECK_EQ(gateway.out(blue, udp(client6, at(server6, 0))).reason, Reason::invalid_port);
  CHECK_EQ(gateway.out(0, udp(client6, server6)).reason, Reason::unknown_namespace);
  CHECK_EQ(gateway.out(65, udp(client6, server6)).reason, Reason::unknown_namespace);
  CHECK_EQ(gateway.in(udp(server6, {external_host6, 50000})).reason, Reason::no_mapping);
}

TEST_CASE("ipv6: neighbour discovery and multicast listeners are none of the NAT's business") {
  Gateway gateway(policy_of_both());
  for (const std::uint8_t type : {std::uint8_t{130}, std::uint8_t{133}, std::uint8_t{134},
                                  std::uint8_t{135}, std::uint8_t{136}, std::uint8_t{137}}) {
    const Bytes packet = icmp(client6.address, server6.address, type, 0, 0, payload_of(16));
    const Outcome left = gateway.out(blue, packet);
    CHECK_EQ(left.reason, Reason::icmp_unsupported);
    CHECK_EQ(left.bytes, packet);
  }
}

TEST_CASE("ipv6: a family without an external address is dropped") {
  Gateway only4;
  Bytes packet = udp(client6, server6);
  const Outcome left = only4.out(blue, packet);
  CHECK_EQ(left.reason, Reason::no_external_address);
  CHECK_EQ(left.bytes, packet);
  CHECK_FALSE(only4.in(udp(server6, {external_host6, 50000})).accepted());
  CHECK_FALSE(only4.hairpin(blue, udp(client6, {external_host6, 50000})).accepted());
  for (const Bytes& piece : fragments_of(udp(client6, server6, payload_of(64)), 32)) {
    CHECK_FALSE(only4.out(blue, piece).accepted());
  }
  Policy only_v6 = policy_of_both();
  only_v6.external.v4 = {};
  Gateway only6(only_v6);
  CHECK_EQ(only6.out(blue, udp(client, server)).reason, Reason::no_external_address);
  CHECK(only6.out(blue, packet).accepted());
  CHECK_EQ(only6.engine.session_count(), 1);
}

TEST_CASE("ipv6: a protocol of the other family is not translated") {
  Gateway gateway(policy_of_both());
  Bytes wrong6 = echo_request(client6, server6.address);
  wrong6[6] = protocol::icmp;
  CHECK_FALSE(gateway.out(blue, wrong6).accepted());
  Bytes wrong4 = echo_request(client, server.address);
  wrong4[9] = protocol::icmpv6;
  CHECK_FALSE(gateway.out(blue, header_summed(wrong4)).accepted());
  CHECK_EQ(gateway.engine.session_count(), 0);
}

TEST_CASE("ipv6: sessions are shown with the family's addresses") {
  Gateway gateway(policy_of_both(), options_of(2));
  const Peer6 external = open<V6>(gateway, protocol::icmp, blue, client6, server6);
  const auto sessions = gateway.sessions();
  REQUIRE_EQ(sessions.size(), 1);
  CHECK_EQ(int{sessions[0].protocol}, 58);
  CHECK_EQ(peer6_of(sessions[0].internal), client6);
  CHECK_EQ(peer6_of(sessions[0].external), external);
  CHECK((std::get<Host6>(sessions[0].remote.address) == server6.address));
}
