// Fragments: RFC 4787 REQ-14, and the identifications of RFC 6864 and RFC 8200.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/support/connection.h"
#include "tests/support/families.h"

namespace swnat::test {
namespace {

// As a caller does that holds what must wait.
template <class F>
std::vector<Bytes> translated(Gateway& gateway, NamespaceId id, const std::vector<Bytes>& pieces) {
  std::vector<Bytes> passed;
  std::vector<Bytes> waiting;
  for (const Bytes& piece : pieces) {
    const Outcome left = gateway.out(id, piece);
    if (left.reason == Reason::fragment_waits) waiting.push_back(piece);
    if (left.accepted()) passed.push_back(left.bytes);
  }
  for (const Bytes& piece : waiting) {
    const Outcome left = gateway.out(id, piece);
    if (left.accepted()) passed.push_back(left.bytes);
  }
  return passed;
}

template <class F>
void check_every_order() {
  const Bytes sent = udp(F::client(), F::server(), payload_of(150));
  auto pieces = fragments_of(sent, 48);
  std::ranges::sort(pieces);
  do {
    Gateway gateway(policy_of_both(), options_of(4));
    const Bytes whole = joined(translated<F>(gateway, blue, pieces));
    REQUIRE_EQ(whole.size(), sent.size());
    CHECK(transport_checksum_is_right(whole));
    CHECK((F::source(whole).address == F::external()));
  } while (std::ranges::next_permutation(pieces).found);
}

template <class F>
void check_flood() {
  Gateway gateway(policy_of_both(), options_of(2));
  const auto of_green = fragments_of(udp(F::client(), F::server(), payload_of(90)), 48, 2);
  REQUIRE(gateway.out(green, of_green[0]).accepted());
  Bytes flood = fragments_of(udp(F::client(), F::server(), payload_of(90)), 48, 2)[0];
  // Far more datagrams than there is room for, none of which is ever finished.
  const std::size_t identification = F::icmp == protocol::icmp ? 4 : 46;
  for (std::uint32_t i = 0; i < 200'000; ++i) {
    set_word(flood, identification, static_cast<std::uint16_t>(i));
    if (F::icmp == protocol::icmp) {
      flood = header_summed(flood);
    } else {
      set_word(flood, identification - 2, static_cast<std::uint16_t>(i >> 16));
    }
    Packet packet{.bytes = flood, .namespace_id = blue};
    Bytes copy = flood;
    packet.bytes = copy;
    gateway.engine.translate({&packet, 1}, gateway.now);
  }
  CHECK(gateway.out(green, of_green[1]).accepted());
  CHECK_EQ(gateway.engine.session_count(), 2);
}

template <class F>
void check_tenants_apart() {
  Gateway gateway(policy_of_both(), options_of(4));
  const auto of_blue = fragments_of(udp(F::client(), F::server(), payload_of(150, 1)), 48);
  const auto of_green = fragments_of(udp(F::client(), F::server(), payload_of(150, 2)), 48);
  const auto from_blue = translated<F>(gateway, blue, of_blue);
  const auto from_green = translated<F>(gateway, green, of_green);
  REQUIRE_FALSE(joined(from_blue).empty());
  REQUIRE_FALSE(joined(from_green).empty());
  CHECK(transport_checksum_is_right(joined(from_blue)));
  CHECK(transport_checksum_is_right(joined(from_green)));
  CHECK_NE(identification_of(from_blue[0]), identification_of(from_green[0]));
}

}  // namespace

TEST_CASE("rfc4787_req14_fragments_in_any_order") {
  check_every_order<V4>();
  check_every_order<V6>();
}

TEST_CASE("rfc4787_req14_fragments_exhaust_nothing") {
  check_flood<V4>();
  check_flood<V6>();
}

TEST_CASE("rfc4787_req14_fragments_of_tenants_never_meet") {
  check_tenants_apart<V4>();
  check_tenants_apart<V6>();
}

TEST_CASE("rfc6864_identifications") {
  // What may be cut on the way is numbered by the NAT; what may not keeps its sender's number.
  Gateway gateway;
  std::set<std::uint32_t> used;
  for (int i = 0; i < 100; ++i) {
    for (const NamespaceId id : {blue, green}) {
      const Bytes loose = udp(client, server, payload_of(9), {.id = 7, .fragment = 0});
      const Outcome left = gateway.out(id, loose);
      CHECK(sums_right(left.bytes));
      CHECK(used.insert(identification_of(left.bytes)).second);
      const Bytes whole = udp(client, server, payload_of(9), {.id = 7, .fragment = 0x4000});
      CHECK_EQ(identification_of(gateway.out(id, whole).bytes), 7);
    }
  }
}

}  // namespace swnat::test
