// ICMP errors (RFC 5508): both ways, hairpinned, damaged, and that they change nothing.
#include <doctest/doctest.h>

#include "tests/support/gateway.h"

namespace swnat::test {
namespace {

constexpr Host inner_router = Host::of(10, 0, 0, 254);

constexpr IcmpKind kinds[] = {{3, 0}, {3, 1}, {3, 3}, {3, 4}, {3, 13}, {11, 0}, {11, 1}, {12, 0}};

bool is_summed(const Bytes& error) {
  return sums_right(error) && header_checksum_is_right(quoted_in(error));
}

}  // namespace

TEST_CASE("rfc5508_req4: an error from outside reaches the sender, quoting what it sent") {
  for (const std::uint32_t shards : {1u, 4u}) {
    for (const std::uint8_t protocol : all_protocols) {
      for (const NamespaceId id : {blue, green}) {
        for (const IcmpKind kind : kinds) {
          for (const std::size_t size :
               {std::size_t{28}, std::size_t{36}, std::size_t{39}, std::size_t{548}}) {
            CAPTURE(shards);
            CAPTURE(int{protocol});
            CAPTURE(size);
            Gateway gateway(roomy_policy(), options_of(shards));
            const Bytes sent = opening(protocol, client, server);
            const Outcome left = gateway.out(id, sent);
            REQUIRE(left.accepted());
            const Outcome passed =
                gateway.in(error_about(left.bytes, router, external_host, kind, size));
            CHECK_EQ(passed.reason, Reason::translated_inbound);
            CHECK_EQ(passed.namespace_id, id);
            CHECK(is_summed(passed.bytes));
            CHECK_EQ(source_of(passed.bytes).address, router);
            CHECK_EQ(destination_of(passed.bytes).address, client.address);
            CHECK_EQ(int{passed.bytes[20]}, int{kind.type});
            CHECK_EQ(int{passed.bytes[21]}, int{kind.code});
            CHECK(begins_with(sent, quoted_in(passed.bytes)));
          }
        }
      }
    }
  }
}

TEST_CASE(
    "rfc5508_req5: an error from inside leaves with the external address, quoting what came") {
  for (const std::uint8_t protocol : all_protocols) {
    for (const Host from : {client.address, inner_router}) {
      CAPTURE(int{protocol});
      Gateway gateway(roomy_policy(), options_of(4));
      const Peer external = gateway.open(protocol, green, client, server);
      const Bytes came = answer(protocol, server, external);
      const Outcome entered = gateway.in(came);
      REQUIRE(entered.accepted());
      const Outcome passed = gateway.out(green, error_about(entered.bytes, from, server.address));
      CHECK_EQ(passed.reason, Reason::translated_outbound);
      CHECK(is_summed(passed.bytes));
      CHECK_EQ(source_of(passed.bytes).address, external_host);
      CHECK_EQ(destination_of(passed.bytes).address, server.address);
      CHECK(begins_with(came, quoted_in(passed.bytes)));
    }
  }
}

TEST_CASE("rfc5508_req7: a hairpinned error goes back to the sender of the hairpinned packet") {
  Policy policy = roomy_policy();
  policy.filtering = Filtering::endpoint_independent;
  Gateway gateway(policy, options_of(4));
  const Peer host{Host::of(10, 0, 0, 9), 7000};
  const Peer external = gateway.open(protocol::udp, green, host, server);
  const Bytes sent = udp(client, external, payload_of(20));
  const Outcome crossed = gateway.hairpin(blue, sent);
  REQUIRE(crossed.accepted());
  const Outcome passed =
      gateway.hairpin(green, error_about(crossed.bytes, host.address, external_host));
  CHECK_EQ(passed.reason, Reason::translated_hairpin);
  CHECK_EQ(passed.namespace_id, blue);
  CHECK(is_summed(passed.bytes));
  CHECK_EQ(source_of(passed.bytes).address, external_host);
  CHECK_EQ(destination_of(passed.bytes).address, client.address);
  CHECK(begins_with(sent, quoted_in(passed.bytes)));
}

TEST_CASE("rfc5508_req3: a damaged error or quotation is dropped, untouched") {
  Gateway gateway;
  const Outcome left = gateway.out(blue, udp(client, server, payload_of(30)));
  const Bytes whole = error_about(left.bytes, router, external_host);
  for (std::size_t at = 20; at < whole.size(); ++at) {
    CAPTURE(at);
    Bytes damaged = whole;
    damaged[at] ^= 0x10;
    const Outcome passed = gateway.in(damaged);
    // A type that is no error any more has a reason of its own.
    if (at != 20) CHECK_EQ(passed.reason, Reason::malformed_icmp_error);
    CHECK_FALSE(passed.accepted());
    CHECK_EQ(passed.bytes, damaged);
  }
  // The error is summed right, the IP header that it quotes is not.
  Bytes quoted = left.bytes;
  quoted[8] ^= 1;
  CHECK_EQ(gateway.in(error_about(quoted, router, external_host)).reason,
           Reason::malformed_icmp_error);
}

TEST_CASE("rfc5508_req3: a damaged transport sum in the quotation is neither judged nor mended") {
  Gateway gateway;
  const Bytes sent = udp(client, server, payload_of(30));
  Bytes left = gateway.out(blue, sent).bytes;
  left[40] ^= 0x55;  // payload
  const Outcome passed = gateway.in(error_about(left, router, external_host));
  CHECK_EQ(passed.reason, Reason::translated_inbound);
  CHECK(is_summed(passed.bytes));
  CHECK_EQ(transport_damage(quoted_in(passed.bytes)), transport_damage(left));
}

TEST_CASE("rfc5508_req3: options in the quoted IP header are skipped") {
  Gateway gateway;
  const Bytes sent = udp(client, server, payload_of(30), {.options = {1, 1, 1, 1, 1, 1, 1, 0}});
  const Outcome left = gateway.out(blue, sent);
  const Outcome passed = gateway.in(error_about(left.bytes, router, external_host, {3, 4}, 36));
  CHECK_EQ(passed.reason, Reason::translated_inbound);
  CHECK(begins_with(sent, quoted_in(passed.bytes)));
}

TEST_CASE("icmp error: what quotes too little, a later fragment or an error is dropped") {
  Gateway gateway;
  const Outcome left = gateway.out(blue, udp(client, server, payload_of(30)));
  for (std::size_t size = 0; size < 28; ++size) {
    CAPTURE(size);
    CHECK_EQ(gateway.in(error_about(left.bytes, router, external_host, {3, 3}, size)).reason,
             Reason::malformed_icmp_error);
  }
  const Bytes later = udp({external_host, 40000}, server, payload_of(30), {.fragment = 0x0010});
  CHECK_EQ(gateway.in(error_about(later, router, external_host)).reason,
           Reason::malformed_icmp_error);
  const Bytes nested = error_about(left.bytes, external_host, server.address);
  CHECK_EQ(gateway.in(error_about(nested, router, external_host)).reason, Reason::foreign_icmp);
  const Bytes other = ip_packet(external_host, server.address, Bytes(20), {.protocol = 51});
  CHECK_EQ(gateway.in(error_about(other, router, external_host)).reason, Reason::foreign_protocol);
}

TEST_CASE("icmp error: of a protocol without ports the quoted IP header is enough") {
  for (const std::uint8_t number : {std::uint8_t{47}, std::uint8_t{50}, std::uint8_t{132}}) {
    for (const std::size_t size : {20u, 21u, 24u, 27u, 28u}) {
      CAPTURE(int{number});
      CAPTURE(size);
      Gateway gateway;
      const Bytes sent =
          ip_packet(client.address, server.address, payload_of(20), {.protocol = number});
      const Outcome left = gateway.out(blue, sent);
      REQUIRE(left.accepted());
      const Outcome passed =
          gateway.in(error_about(left.bytes, router, external_host, {3, 4}, size));
      CHECK_EQ(passed.reason, Reason::translated_inbound);
      CHECK(is_summed(passed.bytes));
      CHECK_EQ(destination_of(passed.bytes).address, client.address);
      CHECK_EQ(quoted_in(passed.bytes), Bytes(sent.begin(), sent.begin() + std::ptrdiff_t(size)));

      const Bytes came =
          ip_packet(server.address, external_host, payload_of(20), {.protocol = number});
      const Outcome entered = gateway.in(came);
      REQUIRE(entered.accepted());
      const Outcome told = gateway.out(
          blue, error_about(entered.bytes, client.address, server.address, {3, 2}, size));
      CHECK_EQ(told.reason, Reason::translated_outbound);
      CHECK(is_summed(told.bytes));
      CHECK_EQ(source_of(told.bytes).address, external_host);
      CHECK_EQ(quoted_in(told.bytes), Bytes(came.begin(), came.begin() + std::ptrdiff_t(size)));
    }
  }
}

TEST_CASE("icmp error: without a session it is dropped, whoever else has one") {
  Gateway gateway;
  const Outcome left = gateway.out(blue, udp(client, server, payload_of(30)));
  const Peer external = source_of(left.bytes);
  const Bytes to_another = udp(external, at(server, 81), payload_of(30));
  CHECK_EQ(gateway.in(error_about(to_another, router, external_host)).reason,
           Reason::icmp_error_unmatched);
  const Bytes from_inside = udp(server, client, payload_of(30));
  CHECK_EQ(gateway.out(green, error_about(from_inside, client.address, server.address)).reason,
           Reason::icmp_error_unsent);
  gateway.travel(6min);
  CHECK_EQ(gateway.in(error_about(left.bytes, router, external_host)).reason,
           Reason::icmp_error_unmatched);
}

TEST_CASE("rfc5382_req10 rfc5508_req6: an error neither refreshes nor ends a session") {
  for (const std::uint8_t protocol : all_protocols) {
    CAPTURE(int{protocol});
    Gateway gateway;
    const Outcome left = gateway.out(blue, opening(protocol, client, server));
    const auto before = gateway.sessions();
    gateway.travel(10s);
    CHECK(gateway.in(error_about(left.bytes, router, external_host)).accepted());
    const auto after = gateway.sessions();
    REQUIRE_EQ(after.size(), 1);
    CHECK_EQ(after[0].idle, 10s);
    CHECK_EQ(after[0].state, before[0].state);
  }
}

TEST_CASE("icmp error: one that the gateway sent, not yet summed, gets its whole sum") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  const Outcome entered = gateway.in(udp(server, external, payload_of(9)));
  const Bytes error = unsummed(error_about(entered.bytes, inner_router, server.address));
  const Outcome passed = gateway.out(blue, error, ChecksumState::partial);
  CHECK_EQ(passed.reason, Reason::translated_outbound);
  CHECK(is_summed(passed.bytes));
}

}  // namespace swnat::test
