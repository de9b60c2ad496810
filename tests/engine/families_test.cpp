// What both families share: limits, the table's size, the counters; and what one of them has alone.
#include "tests/support/families.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "tests/support/dice.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Policy limited(std::uint32_t limit, AtLimit at_limit = AtLimit::evict_oldest) {
  Policy policy = policy_of_both();
  policy.at_limit = at_limit;
  policy.namespaces = {{.first = blue, .last = 9, .session_limit = limit}};
  return policy;
}

Outcome open_either(Gateway& gateway, NamespaceId id, bool v6, std::uint8_t protocol,
                    std::uint16_t port) {
  return gateway.out(id, v6 ? opening(protocol, at(client6, port), server6)
                            : opening(protocol, at(client, port), server));
}

}  // namespace

TEST_CASE("families: max_sessions is of both together") {
  Gateway gateway(policy_of_both(), options_of(1, 10));
  for (std::uint16_t port = 1000; port < 1030; ++port) {
    const Outcome left = open_either(gateway, blue, port % 2 == 0, protocol::udp, port);
    CHECK_EQ(left.reason == Reason::table_full, port >= 1010);
  }
  CHECK_EQ(gateway.engine.session_count(), 10);
  CHECK_EQ(gateway.session_count(blue), 10);
}

TEST_CASE("families: exactly the least recently active session is evicted, over shards and both") {
  struct Known {
    bool v6;
    std::uint8_t protocol;
    std::uint16_t port;
    Time last_active;
  };
  constexpr std::size_t limit = 12;
  for (const std::uint32_t shards : {1U, 4U}) {
    Gateway gateway(limited(limit), options_of(shards));
    Dice random(shards + 7);
    std::vector<Known> model;
    for (int i = 0; i < 2000; ++i) {
      gateway.travel(1ms);
      const Known one{random.one_in(2), all_protocols[random.below(3)],
                      static_cast<std::uint16_t>(1000 + random.below(12)), gateway.now};
      REQUIRE(open_either(gateway, blue, one.v6, one.protocol, one.port).accepted());
      const auto same = std::ranges::find_if(model, [&](const Known& other) {
        return other.v6 == one.v6 && other.protocol == one.protocol && other.port == one.port;
      });
      if (same != model.end()) {
        same->last_active = gateway.now;
      } else {
        if (model.size() == limit) {
          model.erase(std::ranges::min_element(model, {}, &Known::last_active));
        }
        model.push_back(one);
      }
      REQUIRE_EQ(gateway.session_count(blue), model.size());
      if (i % 50 != 0) continue;
      for (const SessionView& view : gateway.sessions()) {
        const bool v6 = std::holds_alternative<Host6>(view.internal.address);
        const std::uint8_t number =
            view.protocol == protocol::icmpv6 ? protocol::icmp : view.protocol;
        CHECK(std::ranges::any_of(model, [&](const Known& known) {
          return known.v6 == v6 && known.protocol == number && known.port == view.internal.port;
        }));
      }
    }
  }
}

TEST_CASE("families: a tenant's limit, refused and lowered, counts both") {
  Gateway gateway(limited(4, AtLimit::refuse), options_of(4));
  for (std::uint16_t port = 1000; port < 1010; ++port) {
    const Outcome left = open_either(gateway, blue, port % 2 == 0, protocol::udp, port);
    CHECK_EQ(left.reason == Reason::session_limit, port >= 1004);
    gateway.travel(1ms);
    CHECK(open_either(gateway, 2 + port % 8u, port % 2 == 0, protocol::udp, port).accepted());
  }
  gateway.set_policy(limited(1));
  CHECK_EQ(gateway.session_count(blue), 1);
  const auto sessions = gateway.sessions();
  const auto of_blue = std::ranges::find(sessions, blue, &SessionView::namespace_id);
  REQUIRE(of_blue != sessions.end());
  CHECK_EQ(of_blue->internal.port, 1003);
}

TEST_CASE("families: one batch of both, each packet counted once") {
  Gateway gateway(policy_of_both(), options_of(4));
  Dice random(3);
  std::uint64_t given = 0;
  for (std::size_t round = 0; round < 20; ++round) {
    std::vector<Bytes> bytes;
    std::vector<Packet> packets;
    for (int i = 0; i < 77; ++i) {
      const std::uint8_t protocol = all_protocols[random.below(3)];
      const auto port = static_cast<std::uint16_t>(1000 + random.below(20));
      switch (random.below(6)) {
        case 0:
          bytes.push_back(opening(protocol, at(client6, port), server6));
          break;
        case 1:
          bytes.push_back(opening(protocol, at(client, port), server));
          break;
        case 2:
          bytes.push_back(
              fragments_of(udp(at(client6, port), server6, payload_of(90)), 48)[round % 2]);
          break;
        case 3:
          bytes.push_back(udp(at(client, port), {external_host, 50000}));
          break;
        case 4:
          bytes.push_back(Bytes(random.below(30), static_cast<std::uint8_t>(random())));
          break;
        default:
          bytes.push_back(error_about(udp(server6, at(client6, port), payload_of(9)),
                                      client6.address, server6.address));
      }
    }
    for (Bytes& one : bytes) {
      packets.push_back({.bytes = one,
                         .namespace_id = random.below(4),
                         .direction = static_cast<Direction>(random.below(3))});
    }
    gateway.engine.translate(packets, gateway.now);
    given += packets.size();
  }
  const Counters counters = gateway.engine.counters();
  CHECK_EQ(std::accumulate(counters.begin(), counters.end(), std::uint64_t{0}), given);
}

TEST_CASE_TEMPLATE("families: ICMP errors with addresses that nobody has are dropped", F, V4, V6) {
  Gateway gateway(policy_of_both());
  const Outcome left = gateway.out(blue, udp(F::client(), F::server(), payload_of(20)));
  auto nobody = F::router();
  if constexpr (F::icmp == protocol::icmp) {
    nobody = Host::of(127, 0, 0, 1);
  } else {
    nobody = host6({0, 0, 0, 0, 0, 0, 0, 1});
  }
  const Bytes error = error_about(left.bytes, nobody, F::external(), F::unreachable);
  const Outcome came = gateway.in(error);
  CHECK_EQ(came.reason, Reason::invalid_address);
  CHECK_EQ(came.bytes, error);
}

TEST_CASE_TEMPLATE("families: protocols without ports, one owner for each remote", F, V4, V6) {
  const auto build = [](const auto& from, const auto& to, std::uint8_t number) {
    if constexpr (F::icmp == protocol::icmp) {
      return ip_packet(from, to, payload_of(40), {.protocol = number});
    } else {
      return ip6_packet(from, to, number, payload_of(40));
    }
  };
  const auto source = [](const Bytes& bytes) {
    return Bytes(bytes.begin() + (F::icmp == protocol::icmp ? 12 : 8),
                 bytes.begin() + (F::icmp == protocol::icmp ? 16 : 24));
  };
  for (const std::uint8_t number : {protocol::gre, protocol::esp, protocol::sctp, protocol::ipip,
                                    protocol::ipv6, protocol::l2tp}) {
    CAPTURE(int{number});
    Policy policy = policy_of_both();
    policy.filtering = Filtering::endpoint_independent;
    Gateway gateway(policy, options_of(4));
    const Bytes sent = build(F::client().address, F::server().address, number);
    const Outcome left = gateway.out(blue, sent);
    REQUIRE_EQ(left.reason, Reason::translated_outbound);
    CHECK_EQ(source(left.bytes), source(build(F::external(), F::server().address, number)));
    CHECK(header_checksum_is_right(left.bytes));
    CHECK_EQ(Bytes(left.bytes.end() - 40, left.bytes.end()), payload_of(40));
    // Another tenant, or another host, cannot have the same remote.
    CHECK_EQ(gateway.out(green, sent).reason, Reason::remote_in_use);
    CHECK_EQ(gateway.out(blue, build(F::neighbour().address, F::server().address, number)).reason,
             Reason::remote_in_use);
    CHECK(gateway.out(green, build(F::client().address, F::stranger().address, number)).accepted());
    const Bytes back = build(F::server().address, F::external(), number);
    const Outcome came = gateway.in(back);
    REQUIRE_EQ(came.reason, Reason::translated_inbound);
    CHECK_EQ(came.namespace_id, blue);
    CHECK_EQ(gateway.in(build(F::router(), F::external(), number)).reason, Reason::no_mapping);
    CHECK_EQ(gateway.session_count(blue), 1);
    // Once it is over, anybody may.
    gateway.travel(5min);
    CHECK(gateway.out(green, sent).accepted());
  }
  Gateway gateway(policy_of_both());
  CHECK_EQ(gateway.out(blue, build(F::client().address, F::server().address, 51)).reason,
           Reason::unsupported_protocol);
}

TEST_CASE("families: a network longer than its addresses is refused") {
  for (const IpNetwork& network : {IpNetwork{Network<Host>{client.address, 33}},
                                   IpNetwork{Network<Host6>{client6.address, 129}}}) {
    for (const bool inside : {false, true}) {
      Policy policy = policy_of_both();
      auto& networks = inside ? policy.namespaces[0].inside : policy.namespaces[0].untranslated;
      networks = {network};
      CHECK_THROWS_AS(Gateway{policy}, std::invalid_argument);
    }
  }
}
