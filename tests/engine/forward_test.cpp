// External endpoints that a rule forwards to an internal one.
#include <doctest/doctest.h>

#include <array>

#include "tests/support/connection.h"
#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

template <class F>
typename F::Peer service(std::uint16_t port = 40080) {
  return {F::external(), port};
}

template <class F>
ForwardRule rule_of(std::uint8_t protocol, typename F::Peer external, NamespaceId id,
                    typename F::Peer to) {
  return {.protocol = protocol, .external = external, .namespace_id = id, .to = to};
}

// TCP and UDP.
template <class F>
Policy forwarding(typename F::Peer external, NamespaceId id, typename F::Peer to) {
  Policy policy = policy_of_both();
  for (const std::uint8_t protocol : protocols_with_ports) {
    policy.forwards.push_back(rule_of<F>(protocol, external, id, to));
  }
  return policy;
}

}  // namespace

TEST_CASE_TEMPLATE("forward: anybody reaches it, and its answers leave as it", F, V4, V6) {
  // Ports within the range and not, of each shard, to ports of each shard.
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    for (const std::uint8_t protocol : protocols_with_ports) {
      for (const std::uint16_t port : {std::uint16_t{1}, std::uint16_t{80}, std::uint16_t{32768},
                                       std::uint16_t{40082}, std::uint16_t{65535}}) {
        for (const std::uint16_t internal : {std::uint16_t{80}, std::uint16_t{8083}}) {
          CAPTURE(port);
          CAPTURE(internal);
          const auto to = at(F::neighbour(), internal);
          Policy policy = forwarding<F>(service<F>(port), green, to);
          policy.filtering = Filtering::address_and_port_dependent;
          policy.mapping = mapping;
          Gateway gateway(policy, options_of(8));
          for (const auto& remote : {F::stranger(), F::server(), at(F::server(), 999)}) {
            const Outcome came = gateway.in(opening(protocol, remote, service<F>(port)));
            REQUIRE_EQ(came.reason, Reason::translated_inbound);
            CHECK_EQ(F::destination(came.bytes), to);
            CHECK_EQ(F::source(came.bytes), remote);
            CHECK_EQ(came.namespace_id, green);
            CHECK(sums_right(came.bytes));
            const Outcome left = gateway.out(green, answer(protocol, to, remote));
            REQUIRE_EQ(left.reason, Reason::translated_outbound);
            CHECK_EQ(F::source(left.bytes), service<F>(port));
            CHECK(sums_right(left.bytes));
          }
          CHECK_EQ(gateway.session_count(green), 3);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("forward: what `to` opens itself leaves as the external endpoint", F, V4, V6) {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    Policy policy = forwarding<F>(service<F>(), blue, F::client());
    policy.mapping = mapping;
    Gateway gateway(policy, options_of(4));
    for (const std::uint8_t protocol : protocols_with_ports) {
      CHECK_EQ(open<F>(gateway, protocol, blue, F::client(), F::server()), service<F>());
      CHECK_EQ(open<F>(gateway, protocol, blue, F::client(), F::stranger()), service<F>());
      CHECK_NE(open<F>(gateway, protocol, green, F::client(), F::server()), service<F>());
      CHECK_NE(open<F>(gateway, protocol, blue, at(F::client(), 40002), F::server()), service<F>());
    }
    CHECK_NE(open<F>(gateway, protocol::icmp, blue, F::client(), F::server()), service<F>());
  }
}

TEST_CASE_TEMPLATE("forward: its port is nobody else's", F, V4, V6) {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    Policy policy = forwarding<F>(service<F>(40002), green, F::neighbour());
    policy.ports = {40000, 40003};
    policy.mapping = mapping;
    Gateway gateway(policy, options_of(2));
    // Not even for the internal port of the same number.
    for (std::uint16_t port = 40000; port < 40003; ++port) {
      CHECK_NE(open<F>(gateway, protocol::udp, blue, at(F::client(), port), F::server()).port,
               40002);
    }
    CHECK_EQ(gateway.out(blue, udp(at(F::client(), 40003), F::server())).reason,
             Reason::no_free_port);
    // Other protocols have ports of their own.
    policy.forwards.pop_back();
    gateway.set_policy(policy);
    gateway.travel(2min);  // the port rests
    CHECK_EQ(open<F>(gateway, protocol::udp, blue, at(F::neighbour(), 40002), F::server()).port,
             40002);
  }
}

TEST_CASE_TEMPLATE("forward: by hairpin, from another tenant, its own and itself", F, V4, V6) {
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const bool from_itself : {false, true}) {
      for (const NamespaceId sender : {blue, green}) {
        if (from_itself && sender != green) continue;
        Gateway gateway(forwarding<F>(service<F>(), green, F::neighbour()), options_of(8));
        const auto from = from_itself ? F::neighbour() : F::client();
        const Outcome passed = gateway.hairpin(sender, opening(protocol, from, service<F>()));
        REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
        CHECK_EQ(F::destination(passed.bytes), F::neighbour());
        CHECK_EQ(passed.namespace_id, green);
        CHECK((F::source(passed.bytes).address == F::external()));
        CHECK(sums_right(passed.bytes));
        if (from_itself) continue;
        const Outcome back =
            gateway.hairpin(green, answer(protocol, F::neighbour(), F::source(passed.bytes)));
        REQUIRE_EQ(back.reason, Reason::translated_hairpin);
        CHECK_EQ(F::source(back.bytes), service<F>());
        CHECK_EQ(F::destination(back.bytes), F::client());
        CHECK_EQ(back.namespace_id, sender);
      }
    }
  }
}

TEST_CASE_TEMPLATE("forward: two of one internal endpoint", F, V4, V6) {
  Policy policy = policy_of_both();
  policy.forwards = {rule_of<F>(protocol::udp, service<F>(40080), blue, F::client()),
                     rule_of<F>(protocol::udp, service<F>(40091), blue, F::client())};
  Gateway gateway(policy, options_of(8));
  for (const std::uint16_t port : {std::uint16_t{40080}, std::uint16_t{40091}}) {
    const auto remote = at(F::stranger(), port);
    const Outcome came = gateway.in(udp(remote, service<F>(port)));
    REQUIRE(came.accepted());
    CHECK_EQ(F::destination(came.bytes), F::client());
    CHECK_EQ(F::source(gateway.out(blue, udp(F::client(), remote)).bytes), service<F>(port));
  }
  // What it opens itself leaves as the first.
  CHECK_EQ(open<F>(gateway, protocol::udp, blue, F::client(), F::server()), service<F>(40080));
  // One remote endpoint cannot talk to both: the answers could not be told apart.
  CHECK_EQ(gateway.in(udp(F::server(), service<F>(40091))).reason, Reason::answer_in_use);
  CHECK_EQ(gateway.session_count(blue), 3);
  gateway.expire_after(5min);
  CHECK_EQ(gateway.engine.session_count(), 0);
  CHECK(gateway.in(udp(F::server(), service<F>(40091))).accepted());
}

TEST_CASE("forward: sessions count, and are refused at the limit without eviction") {
  Policy policy = forwarding<V4>(service<V4>(), blue, client);
  policy.namespaces[0].session_limit = 2;
  Gateway gateway(policy);
  CHECK(gateway.in(udp(at(server, 1), service<V4>())).accepted());
  CHECK(gateway.in(udp(at(server, 2), service<V4>())).accepted());
  CHECK_EQ(gateway.in(udp(at(server, 3), service<V4>())).reason, Reason::session_limit);
  CHECK(gateway.in(udp(at(server, 1), service<V4>())).accepted());
}

TEST_CASE_TEMPLATE("forward: a reload adds it, though a mapping has its port", F, V4, V6) {
  for (const Mapping mapping :
       {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
    Policy without = policy_of_both();
    without.ports = {40000, 40003};
    without.mapping = mapping;
    Gateway gateway(without, options_of(2));
    for (std::uint16_t port = 40000; port < 40004; ++port) {
      open<F>(gateway, protocol::udp, blue, at(F::client(), port), F::server());
    }
    Policy with = without;
    with.forwards = {rule_of<F>(protocol::udp, service<F>(40002), green, at(F::neighbour(), 80))};
    gateway.set_policy(with);
    CHECK_EQ(gateway.session_count(blue), 3);
    const Outcome came = gateway.in(udp(F::server(), service<F>(40002)));
    REQUIRE(came.accepted());
    CHECK_EQ(came.namespace_id, green);
    for (const std::uint16_t port :
         {std::uint16_t{40000}, std::uint16_t{40001}, std::uint16_t{40003}}) {
      CHECK(answers<F>(gateway, protocol::udp, F::server(), {F::external(), port}, blue,
                       at(F::client(), port)));
    }
    // And removes it: the port is to be had again.
    gateway.set_policy(without);
    CHECK_EQ(gateway.session_count(green), 0);
    CHECK_EQ(gateway.in(udp(F::server(), service<F>(40002))).reason, Reason::no_mapping);
    gateway.travel(2min);  // the port rests
    CHECK_EQ(open<F>(gateway, protocol::udp, blue, at(F::neighbour(), 40002), F::server()).port,
             40002);
  }
}

TEST_CASE_TEMPLATE("forward: a reload changes where it leads, over shards and tenants", F, V4, V6) {
  for (const std::uint8_t protocol : protocols_with_ports) {
    Gateway gateway(forwarding<F>(service<F>(), blue, at(F::client(), 80)), options_of(8));
    for (const std::uint16_t port : std::array<std::uint16_t, 5>{80, 82, 84, 96, 80}) {
      for (const NamespaceId id : {blue, green}) {
        gateway.set_policy(forwarding<F>(service<F>(), id, at(F::client(), port)));
        CHECK_EQ(gateway.engine.session_count(), 0);
        const Outcome came = gateway.in(opening(protocol, F::server(), service<F>()));
        REQUIRE(came.accepted());
        CHECK_EQ(F::destination(came.bytes), at(F::client(), port));
        CHECK_EQ(came.namespace_id, id);
        const Outcome left = gateway.out(id, answer(protocol, at(F::client(), port), F::server()));
        REQUIRE(left.accepted());
        CHECK_EQ(F::source(left.bytes), service<F>());
      }
    }
  }
}

TEST_CASE_TEMPLATE("forward: a reload that leaves it as it is ends nothing", F, V4, V6) {
  Policy policy = forwarding<F>(service<F>(), blue, F::client());
  Gateway gateway(policy, options_of(4));
  REQUIRE(gateway.in(udp(F::server(), service<F>())).accepted());
  open<F>(gateway, protocol::tcp, blue, F::client(), F::stranger());
  policy.forwards.push_back(
      rule_of<F>(protocol::tcp, service<F>(443), green, at(F::neighbour(), 443)));
  gateway.set_policy(policy);
  CHECK_EQ(gateway.session_count(blue), 2);
}

TEST_CASE("forward: a new one for `to` ends the mapping that it had") {
  Gateway gateway(policy_of_both(), options_of(4));
  const Peer before = gateway.open(protocol::udp, blue, client, server);
  gateway.set_policy(forwarding<V4>(service<V4>(50002), blue, client));
  CHECK_EQ(gateway.engine.session_count(), 0);
  CHECK_FALSE(gateway.in(udp(server, before)).accepted());
  CHECK_EQ(gateway.open(protocol::udp, blue, client, server), service<V4>(50002));
}

TEST_CASE("forward: TCP without a SYN opens nothing, port 0 neither") {
  Gateway gateway(forwarding<V4>(service<V4>(), blue, client));
  CHECK_EQ(gateway.in(tcp(server, service<V4>(), {.flags = ack})).reason, Reason::foreign_segment);
  CHECK_EQ(gateway.in(tcp(server, service<V4>(), {.flags = syn | ack})).reason,
           Reason::foreign_segment);
  CHECK_EQ(gateway.in(udp(at(server, 0), service<V4>())).reason, Reason::invalid_port);
  CHECK_EQ(gateway.engine.session_count(), 0);
}

TEST_CASE("forward: rfc5382_req2 a remote that comes again from the same port") {
  // The tenant's answer reopens the session; until then it is as it was, for anybody can send a SYN
  // in a remote's name.
  for (const bool was_reset : {false, true}) {
    Gateway gateway(forwarding<V4>(service<V4>(), blue, client), options_of(4));
    const auto in = [&](std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledged) {
      return gateway.in(
          tcp(server, service<V4>(),
              {.flags = flags, .sequence = sequence, .acknowledgment = acknowledged}));
    };
    const auto out = [&](std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledged) {
      return gateway.out(
          blue, tcp(client, server,
                    {.flags = flags, .sequence = sequence, .acknowledgment = acknowledged}));
    };
    const auto state = [&] { return std::string(gateway.sessions().at(0).state); };
    REQUIRE(in(syn, 100, 0).accepted());
    REQUIRE(out(syn | ack, 500, 101).accepted());
    REQUIRE(in(ack, 101, 501).accepted());
    CHECK_EQ(state(), "established");
    if (was_reset) {
      REQUIRE(in(rst, 101, 0).accepted());
    } else {
      REQUIRE(in(fin | ack, 101, 501).accepted());
      REQUIRE(out(fin | ack, 501, 102).accepted());
      REQUIRE(in(ack, 102, 502).accepted());
    }
    const std::string over = was_reset ? "reset" : "closing";
    CHECK_EQ(state(), over);
    gateway.travel(1min);
    REQUIRE(in(syn, 900'000, 0).accepted());
    CHECK_EQ(state(), over);
    CHECK_EQ(gateway.sessions().at(0).idle, 1min);
    REQUIRE(out(syn | ack, 700'000, 900'001).accepted());
    CHECK_EQ(state(), "opening");
    REQUIRE(in(ack, 900'001, 700'001).accepted());
    CHECK_EQ(state(), "established");
    CHECK_EQ(gateway.engine.session_count(), 1);
  }
}

TEST_CASE_TEMPLATE("forward: ICMP errors, both ways", F, V4, V6) {
  Gateway gateway(forwarding<F>(service<F>(), green, F::neighbour()), options_of(8));
  const Bytes came = udp(F::stranger(), service<F>(), payload_of(20));
  const Outcome entered = gateway.in(came);
  const Outcome error = gateway.out(green, error_about(entered.bytes, F::neighbour().address,
                                                       F::stranger().address, F::unreachable));
  REQUIRE_EQ(error.reason, Reason::translated_outbound);
  CHECK((F::source(error.bytes).address == F::external()));
  CHECK(begins_with(came, quoted_in(error.bytes)));
  CHECK(sums_right(error.bytes));
  const Bytes sent = udp(F::neighbour(), F::stranger(), payload_of(20));
  const Outcome left = gateway.out(green, sent);
  const Outcome back =
      gateway.in(error_about(left.bytes, F::router(), F::external(), F::unreachable));
  REQUIRE_EQ(back.reason, Reason::translated_inbound);
  CHECK_EQ(back.namespace_id, green);
  CHECK(begins_with(sent, quoted_in(back.bytes)));
}
