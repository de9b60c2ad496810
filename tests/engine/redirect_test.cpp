// Outbound packets to one endpoint that go to another, and what comes back.
#include <doctest/doctest.h>

#include "tests/support/connection.h"
#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// `from` is never reached: the packets go to `to`.
template <class F>
struct Ends {
  typename F::Peer from = at(F::server(), 53);
  typename F::Peer to = at(F::stranger(), 5353);
};

template <class F>
Policy redirecting(typename F::Peer from, typename F::Peer to) {
  Policy policy = policy_of_both();
  const Network<typename F::Address> around{F::neighbour().address, 8};
  policy.namespaces = {{.first = blue, .last = 9, .session_limit = 1000, .inside = {around}}};
  for (const std::uint8_t protocol : protocols_with_ports) {
    policy.redirects.push_back({.protocol = protocol, .from = from, .to = to});
  }
  return policy;
}

}  // namespace

TEST_CASE_TEMPLATE("redirect: to outside, and the answer seems to come from there", F, V4, V6) {
  const Ends<F> ends;
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const Direction direction : {Direction::outbound, Direction::hairpin}) {
      Gateway gateway(redirecting<F>(ends.from, ends.to), options_of(4));
      for (int times = 0; times < 2; ++times) {  // new, and established
        const Outcome left =
            gateway.translate(direction, blue, opening(protocol, F::client(), ends.from));
        REQUIRE_EQ(left.reason, Reason::translated_outbound);
        CHECK_EQ(F::destination(left.bytes), ends.to);
        CHECK((F::source(left.bytes).address == F::external()));
        CHECK(sums_right(left.bytes));
        if (direction == Direction::hairpin) CHECK_EQ(left.namespace_id, 0);
        const Outcome came = gateway.in(answer(protocol, ends.to, F::source(left.bytes)));
        REQUIRE_EQ(came.reason, Reason::translated_inbound);
        CHECK_EQ(F::source(came.bytes), ends.from);
        CHECK_EQ(F::destination(came.bytes), F::client());
        CHECK_EQ(came.namespace_id, blue);
        CHECK(sums_right(came.bytes));
      }
      // Other ports and protocols are not meant.
      const Outcome other = gateway.out(blue, opening(protocol, F::client(), at(ends.from, 54)));
      CHECK_EQ(F::destination(other.bytes), at(ends.from, 54));
      CHECK_EQ(gateway.engine.session_count(), 2);
    }
  }
}

TEST_CASE_TEMPLATE("redirect: only for its protocol and namespaces, and the first that fits", F, V4,
                   V6) {
  const Ends<F> ends;
  Policy policy = policy_of_both();
  const NamespaceRange only_blue{blue, blue};
  const auto second = at(F::stranger(), 6000);
  policy.redirects = {
      {.protocol = protocol::udp, .from = ends.from, .to = ends.to, .namespaces = only_blue},
      {.protocol = protocol::udp, .from = ends.from, .to = second}};
  Gateway gateway(policy);
  const auto destination = [&](NamespaceId id, std::uint8_t protocol) {
    return F::destination(gateway.out(id, opening(protocol, F::client(), ends.from)).bytes);
  };
  CHECK_EQ(destination(blue, protocol::udp), ends.to);
  CHECK_EQ(destination(green, protocol::udp), second);
  CHECK_EQ(destination(blue, protocol::tcp), ends.from);
}

TEST_CASE_TEMPLATE("redirect: within the namespace, seen from the external address", F, V4, V6) {
  const auto from = at(F::server(), 53);
  const auto to = F::neighbour();
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const std::uint32_t shards : {1U, 8U}) {
      for (const ChecksumState state : {ChecksumState::complete, ChecksumState::partial}) {
        Gateway gateway(redirecting<F>(from, to), options_of(shards));
        Bytes packet = opening(protocol, F::client(), from);
        if (state == ChecksumState::partial) packet = pseudo_summed(packet);
        const Outcome left = gateway.hairpin(blue, packet, state);
        REQUIRE(left.accepted());
        CHECK_EQ(F::destination(left.bytes), to);
        CHECK_EQ(left.namespace_id, blue);
        CHECK(sums_right(left.bytes));
        const auto external = F::source(left.bytes);
        CHECK((external.address == F::external()));
        Bytes back = answer(protocol, to, external);
        if (state == ChecksumState::partial) back = pseudo_summed(back);
        const Outcome came = gateway.hairpin(blue, back, state);
        REQUIRE(came.accepted());
        CHECK_EQ(F::source(came.bytes), from);
        CHECK_EQ(F::destination(came.bytes), F::client());
        CHECK_EQ(came.namespace_id, blue);
        CHECK(sums_right(came.bytes));
        CHECK_EQ(gateway.engine.session_count(), 1);
        // Neither the outside nor another tenant that has the same address can answer.
        CHECK_FALSE(gateway.in(answer(protocol, to, external)).accepted());
        CHECK_FALSE(gateway.hairpin(green, answer(protocol, to, external)).accepted());
      }
    }
  }
}

TEST_CASE_TEMPLATE("redirect: one within the namespace opens no door to the outside", F, V4, V6) {
  // A remote that pretends to have the inner host's address.
  Gateway gateway(redirecting<F>(at(F::server(), 53), F::neighbour()));
  const Outcome left = gateway.hairpin(blue, udp(F::client(), at(F::server(), 53)));
  REQUIRE(left.accepted());
  const auto external = F::source(left.bytes);
  for (const std::uint16_t port : {F::neighbour().port, std::uint16_t{999}}) {
    CHECK_FALSE(gateway.in(udp(at(F::neighbour(), port), external)).accepted());
  }
}

TEST_CASE_TEMPLATE("redirect: tenants with the same addresses do not meet", F, V4, V6) {
  Gateway gateway(redirecting<F>(at(F::server(), 53), F::neighbour()), options_of(2));
  for (const NamespaceId id : {blue, green}) {
    const Outcome left = gateway.hairpin(id, udp(F::client(), at(F::server(), 53)));
    REQUIRE(left.accepted());
    CHECK_EQ(left.namespace_id, id);
    const Outcome came = gateway.hairpin(id, udp(F::neighbour(), F::source(left.bytes)));
    REQUIRE(came.accepted());
    CHECK_EQ(came.namespace_id, id);
    CHECK_EQ(F::destination(came.bytes), F::client());
  }
}

TEST_CASE_TEMPLATE("redirect: ICMP errors about redirected packets, both ways", F, V4, V6) {
  const Ends<F> ends;
  for (const std::uint8_t protocol : protocols_with_ports) {
    Gateway gateway(redirecting<F>(ends.from, ends.to), options_of(4));
    const Bytes sent = opening(protocol, F::client(), ends.from);
    const Outcome left = gateway.out(blue, sent);
    // From the host itself, which the client knows by another address, and from a router.
    for (const auto& sender : {ends.to.address, F::router()}) {
      const Outcome error =
          gateway.in(error_about(left.bytes, sender, F::external(), F::unreachable));
      REQUIRE_EQ(error.reason, Reason::translated_inbound);
      CHECK((F::source(error.bytes).address ==
             (sender == ends.to.address ? ends.from.address : sender)));
      CHECK((F::destination(error.bytes).address == F::client().address));
      CHECK(begins_with(sent, quoted_in(error.bytes)));
      CHECK(sums_right(error.bytes));
    }
    const Bytes came = answer(protocol, ends.to, F::source(left.bytes));
    const Outcome entered = gateway.in(came);
    const Outcome error = gateway.out(
        blue, error_about(entered.bytes, F::client().address, ends.from.address, F::unreachable));
    REQUIRE_EQ(error.reason, Reason::translated_outbound);
    CHECK((F::destination(error.bytes).address == ends.to.address));
    CHECK((F::source(error.bytes).address == F::external()));
    CHECK(begins_with(came, quoted_in(error.bytes)));
    CHECK(sums_right(error.bytes));
  }
}

TEST_CASE_TEMPLATE("redirect: ICMP errors about packets within the namespace, both ways", F, V4,
                   V6) {
  const auto from = at(F::server(), 53);
  Gateway gateway(redirecting<F>(from, F::neighbour()), options_of(4));
  const Bytes sent = udp(F::client(), from, payload_of(20));
  const Outcome left = gateway.hairpin(blue, sent);
  const Outcome error = gateway.hairpin(
      blue, error_about(left.bytes, F::neighbour().address, F::external(), F::unreachable));
  REQUIRE(error.accepted());
  CHECK_EQ(error.namespace_id, blue);
  CHECK((F::source(error.bytes).address == from.address));
  CHECK((F::destination(error.bytes).address == F::client().address));
  CHECK(begins_with(sent, quoted_in(error.bytes)));
  CHECK(sums_right(error.bytes));

  const Bytes answered = udp(F::neighbour(), F::source(left.bytes), payload_of(21));
  const Outcome entered = gateway.hairpin(blue, answered);
  const Outcome back = gateway.hairpin(
      blue, error_about(entered.bytes, F::client().address, from.address, F::unreachable));
  REQUIRE(back.accepted());
  CHECK_EQ(back.namespace_id, blue);
  CHECK((F::destination(back.bytes).address == F::neighbour().address));
  CHECK((F::source(back.bytes).address == F::external()));
  CHECK(begins_with(answered, quoted_in(back.bytes)));
  CHECK(sums_right(back.bytes));
}

TEST_CASE_TEMPLATE("redirect: two to the same endpoint cannot both be used from one port", F, V4,
                   V6) {
  const Ends<F> ends;
  Policy policy = redirecting<F>(ends.from, ends.to);
  policy.redirects.push_back({.protocol = protocol::udp, .from = at(ends.from, 54), .to = ends.to});
  Gateway gateway(policy, options_of(4));
  REQUIRE(gateway.out(blue, udp(F::client(), ends.from)).accepted());
  const Bytes packet = udp(F::client(), at(ends.from, 54));
  const Outcome second = gateway.out(blue, packet);
  CHECK_EQ(second.reason, Reason::remote_in_use);
  CHECK_EQ(second.bytes, packet);
  CHECK_EQ(gateway.out(blue, udp(F::client(), ends.to)).reason, Reason::remote_in_use);
  CHECK_EQ(gateway.session_count(blue), 1);
  CHECK(gateway.out(blue, udp(at(F::client(), 40002), at(ends.from, 54))).accepted());
}

TEST_CASE_TEMPLATE("redirect: with a port for each remote both can", F, V4, V6) {
  const Ends<F> ends;
  Policy policy = redirecting<F>(ends.from, ends.to);
  policy.mapping = Mapping::address_and_port_dependent;
  policy.redirects.push_back({.protocol = protocol::udp, .from = at(ends.from, 54), .to = ends.to});
  Gateway gateway(policy, options_of(4));
  const Outcome first = gateway.out(blue, udp(F::client(), ends.from));
  const Outcome second = gateway.out(blue, udp(F::client(), at(ends.from, 54)));
  REQUIRE(first.accepted());
  REQUIRE(second.accepted());
  CHECK_NE(F::source(first.bytes), F::source(second.bytes));
  CHECK_EQ(F::source(gateway.in(udp(ends.to, F::source(first.bytes))).bytes), ends.from);
  CHECK_EQ(F::source(gateway.in(udp(ends.to, F::source(second.bytes))).bytes), at(ends.from, 54));
}

TEST_CASE_TEMPLATE("redirect: a stranger at `from` cannot pass for it", F, V4, V6) {
  // What the tenant would answer goes elsewhere, so the packet must not make a second session of
  // the same inner flow.
  const Ends<F> ends;
  Policy policy = redirecting<F>(ends.from, ends.to);
  policy.filtering = Filtering::endpoint_independent;
  Gateway gateway(policy, options_of(4));
  const Outcome left = gateway.out(blue, udp(F::client(), ends.from));
  const auto external = F::source(left.bytes);
  CHECK_EQ(gateway.in(udp(ends.from, external)).reason, Reason::answer_in_use);
  CHECK_EQ(gateway.session_count(blue), 1);
  CHECK_EQ(F::destination(gateway.out(blue, udp(F::client(), ends.from)).bytes), ends.to);
}

TEST_CASE_TEMPLATE("redirect: to an external address that is forwarded, in two steps", F, V4, V6) {
  const typename F::Peer service{F::external(), 40080};
  const auto from = at(F::server(), 53);
  Policy policy = redirecting<F>(from, service);
  for (const std::uint8_t protocol : protocols_with_ports) {
    policy.forwards.push_back(
        {.protocol = protocol, .external = service, .namespace_id = green, .to = F::neighbour()});
  }
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const NamespaceId sender : {blue, green}) {
      Gateway gateway(policy, options_of(8));
      const Outcome passed = gateway.hairpin(sender, opening(protocol, F::client(), from));
      REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
      CHECK_EQ(F::destination(passed.bytes), F::neighbour());
      CHECK_EQ(passed.namespace_id, green);
      CHECK(sums_right(passed.bytes));
      const Outcome back =
          gateway.hairpin(green, answer(protocol, F::neighbour(), F::source(passed.bytes)));
      REQUIRE_EQ(back.reason, Reason::translated_hairpin);
      CHECK_EQ(F::source(back.bytes), from);
      CHECK_EQ(F::destination(back.bytes), F::client());
      CHECK_EQ(back.namespace_id, sender);
      CHECK(sums_right(back.bytes));
    }
  }
}

TEST_CASE_TEMPLATE("redirect: a reload ends what goes elsewhere now, and nothing else", F, V4, V6) {
  const Ends<F> ends;
  Gateway gateway(redirecting<F>(ends.from, ends.to), options_of(4));
  open<F>(gateway, protocol::udp, blue, F::client(), ends.from);
  const auto kept = open<F>(gateway, protocol::udp, blue, F::client(), F::server());
  gateway.set_policy(redirecting<F>(ends.from, ends.to));
  CHECK_EQ(gateway.engine.session_count(), 2);
  gateway.set_policy(redirecting<F>(ends.from, at(ends.to, 9999)));
  CHECK_EQ(gateway.engine.session_count(), 1);
  const Outcome left = gateway.out(blue, udp(F::client(), ends.from));
  CHECK_EQ(F::destination(left.bytes), at(ends.to, 9999));
  CHECK_EQ(F::source(left.bytes), kept);  // the mapping has stayed
  gateway.set_policy(policy_of_both());
  CHECK_EQ(gateway.engine.session_count(), 1);
  CHECK_EQ(F::destination(gateway.out(blue, udp(F::client(), ends.from)).bytes), ends.from);
}

TEST_CASE("redirect: a TCP connection within the namespace, to the last acknowledgment") {
  const Peer from = at(server, 53);
  const Peer to = V4::neighbour();
  Policy policy = redirecting<V4>(from, to);
  policy.timeouts.tcp_transitory = 0ms;
  Gateway gateway(policy, options_of(4));
  const auto pass = [&](Peer sender, Peer receiver, const TcpFields& fields) {
    const Outcome passed = gateway.hairpin(blue, tcp(sender, receiver, fields));
    REQUIRE(passed.accepted());
    return passed.source();
  };
  const Peer seen = pass(client, from, {.flags = syn, .sequence = 100});
  pass(to, seen, {.flags = syn | ack, .sequence = 900, .acknowledgment = 101});
  pass(client, from, {.flags = ack, .sequence = 101, .acknowledgment = 901});
  pass(client, from, {.flags = fin | ack, .sequence = 101, .acknowledgment = 901});
  pass(to, seen, {.flags = fin | ack, .sequence = 901, .acknowledgment = 102});
  CHECK_EQ(gateway.engine.session_count(), 1);
  pass(client, from, {.flags = ack, .sequence = 102, .acknowledgment = 902});
  CHECK_EQ(gateway.engine.session_count(), 0);
}
