// What is not the NAT's goes on as it was, and what the gateway itself sends and gets is
// translated.
#include <doctest/doctest.h>

#include "tests/support/connection.h"
#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Filtering filterings[] = {Filtering::endpoint_independent, Filtering::address_dependent,
                                    Filtering::address_and_port_dependent};

template <class F>
IcmpKind too_big() {
  return F::icmp == protocol::icmp ? IcmpKind{3, 4} : IcmpKind{2, 0};
}
template <class F>
IcmpKind time_exceeded() {
  return F::icmp == protocol::icmp ? IcmpKind{11, 0} : IcmpKind{3, 0};
}

void check_passed(const Outcome& outcome, const Bytes& sent, NamespaceId sender, Reason reason) {
  CHECK_EQ(outcome.reason, reason);
  CHECK_EQ(verdict_of(outcome.reason), Verdict::pass);
  CHECK_EQ(outcome.bytes, sent);
  CHECK_EQ(outcome.namespace_id, sender);
}

// An external endpoint of a tenant's service, and a service.
template <class F>
typename F::Peer service() {
  return {F::external(), 40080};
}
template <class F>
Policy forwarding(std::uint8_t protocol) {
  Policy policy = policy_of_both();
  policy.forwards = {{.protocol = protocol,
                      .external = service<F>(),
                      .namespace_id = green,
                      .to = F::neighbour()}};
  return policy;
}

}  // namespace

TEST_CASE_TEMPLATE("first refusal: what comes from outside to nobody passes", F, V4, V6) {
  const typename F::Peer nobody{F::external(), 50000};
  for (const std::uint8_t protocol : all_protocols) {
    Gateway gateway(policy_of_both(), options_of(4));
    const Bytes packet = answer(protocol, F::server(), nobody);
    check_passed(gateway.in(packet), packet, 0, Reason::no_mapping);
    const auto external = open<F>(gateway, protocol, blue, F::client(), F::server());
    const Bytes stray = answer(protocol, F::stranger(), external);
    check_passed(gateway.in(stray), stray, 0, Reason::filtered);
    CHECK_EQ(gateway.engine.session_count(), 1);
  }
  Gateway gateway(policy_of_both());
  const Bytes request = echo_request(F::server(), F::external());
  check_passed(gateway.in(request), request, 0, Reason::foreign_icmp);
  const Bytes error = error_about(udp(nobody, F::server()), F::router(), F::external());
  check_passed(gateway.in(error), error, 0, Reason::icmp_error_unmatched);
  // An error about an error, or about what only the gateway sends.
  const Bytes nested = error_about(error, F::router(), F::external());
  check_passed(gateway.in(nested), nested, 0, Reason::foreign_icmp);
}

TEST_CASE_TEMPLATE(
    "first refusal: an error from an address that no host has is judged if it is ours", F, V4, V6) {
  Gateway gateway(policy_of_both());
  const Outcome left = gateway.out(blue, udp(F::client(), F::server()));
  const typename F::Address odd{};
  const Bytes ours = error_about(left.bytes, odd, F::external());
  CHECK_EQ(gateway.in(ours).reason, Reason::invalid_address);
  const Bytes others = error_about(udp({F::external(), 50000}, F::server()), odd, F::external());
  check_passed(gateway.in(others), others, 0, Reason::icmp_error_unmatched);
}

TEST_CASE_TEMPLATE("first refusal: what becomes of the first fragment becomes of all", F, V4, V6) {
  const typename F::Peer nobody{F::external(), 50000};
  const Bytes request = echo_request(F::server(), F::external(), payload_of(200));
  for (const Bytes& whole : {udp(F::server(), nobody, payload_of(200)), request}) {
    Gateway gateway(policy_of_both());
    const auto pieces = fragments_of(whole, 64);
    REQUIRE_GT(pieces.size(), 2);
    CHECK_EQ(gateway.in(pieces[1]).reason, Reason::fragment_waits);
    const Reason reason = whole == request ? Reason::foreign_icmp : Reason::no_mapping;
    for (const Bytes& piece : pieces) check_passed(gateway.in(piece), piece, 0, reason);
  }
  Gateway gateway(policy_of_both());
  for (const Bytes& piece : fragments_of(udp(F::client(), nobody, payload_of(200)), 64)) {
    check_passed(gateway.hairpin(blue, piece), piece, blue, Reason::no_mapping);
  }
}

TEST_CASE_TEMPLATE("first refusal: a service of the gateway on its external address, for a tenant",
                   F, V4, V6) {
  const typename F::Peer nobody{F::external(), 50000};
  for (const bool hairpin : {true, false}) {
    for (const Mapping mapping :
         {Mapping::endpoint_independent, Mapping::address_and_port_dependent}) {
      for (const std::uint8_t protocol : protocols_with_ports) {
        Policy policy = policy_of_both();
        policy.hairpin = hairpin;
        policy.mapping = mapping;
        policy.namespaces[0].session_limit = 1;
        policy.at_limit = AtLimit::evict_oldest;
        Gateway gateway(policy, options_of(4));
        open<F>(gateway, protocol, blue, at(F::client(), 40002), F::server());
        const Bytes packet = opening(protocol, F::client(), nobody);
        check_passed(gateway.hairpin(blue, packet), packet, blue, Reason::no_mapping);
        // Its session is still there, and its port was not taken.
        CHECK_EQ(gateway.session_count(blue), 1);
        CHECK_EQ(F::peer(gateway.sessions()[0].internal), at(F::client(), 40002));
        if (mapping == Mapping::address_and_port_dependent) continue;
        CHECK_EQ(open<F>(gateway, protocol, green, F::client(), F::server()).port,
                 F::client().port);
      }
    }
  }
  Gateway gateway(policy_of_both());
  const Bytes request = echo_request(F::client(), F::external());
  check_passed(gateway.hairpin(blue, request), request, blue, Reason::foreign_icmp);
  const Bytes tunnel = F::icmp == protocol::icmp
                           ? ip_packet(client.address, external_host, Bytes(20), {.protocol = 47})
                           : request;
  CHECK_EQ(verdict_of(gateway.hairpin(blue, tunnel).reason), Verdict::pass);
  CHECK_EQ(gateway.engine.session_count(), 0);
}

TEST_CASE("first refusal: a rule that drops is heeded before") {
  Policy policy = roomy_policy();
  policy.drops = {{.protocol = protocol::udp, .ports = {50000, 50000}, .namespaces = {}}};
  Gateway gateway(policy);
  CHECK_EQ(gateway.hairpin(blue, udp(client, {external_host, 50000})).reason,
           Reason::dropped_by_rule);
  CHECK_EQ(gateway.hairpin(9999, udp(client, {external_host, 50001})).reason,
           Reason::foreign_fwmark);
}

// RFC 4787 section 5, where both are behind the same NAT: each host's packet opens its own door.
TEST_CASE_TEMPLATE("first refusal: two tenants' hosts open a way to each other", F, V4, V6) {
  Gateway gateway(policy_of_both(), options_of(4));
  const auto of_client = open<F>(gateway, protocol::udp, blue, F::client(), F::server());
  const auto of_host = open<F>(gateway, protocol::udp, green, F::neighbour(), F::server());
  const Bytes first = udp(F::client(), of_host);
  check_passed(gateway.hairpin(blue, first), first, blue, Reason::filtered);
  const Outcome second = gateway.hairpin(green, udp(F::neighbour(), of_client));
  CHECK_EQ(second.reason, Reason::translated_hairpin);
  CHECK_EQ(F::destination(second.bytes), F::client());
  CHECK_EQ(gateway.hairpin(blue, first).reason, Reason::translated_hairpin);
}

TEST_CASE_TEMPLATE("first refusal: a resolver on the gateway answers what was redirected to it", F,
                   V4, V6) {
  const auto from = at(F::server(), 53);
  const typename F::Peer resolver{F::inner_router(), 5353};
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const bool hairpin : {true, false}) {
      Policy policy = policy_of_both();
      policy.hairpin = hairpin;
      policy.redirects = {{.protocol = protocol, .from = from, .to = resolver}};
      Gateway gateway(policy, options_of(4));
      const Bytes query = opening(protocol, F::client(), from);
      const Outcome asked = gateway.hairpin(blue, query);
      REQUIRE_EQ(asked.reason, Reason::translated_outbound);
      CHECK_EQ(asked.namespace_id, 0);
      CHECK_EQ(F::destination(asked.bytes), resolver);
      const Bytes reply = answer(protocol, resolver, F::source(asked.bytes));
      for (const Outcome& came : {gateway.in(reply), gateway.hairpin(blue, reply)}) {
        REQUIRE_EQ(came.reason, Reason::translated_inbound);
        CHECK_EQ(F::source(came.bytes), from);
        CHECK_EQ(F::destination(came.bytes), F::client());
        CHECK_EQ(came.namespace_id, blue);
        CHECK(sums_right(came.bytes));
      }
      // Nobody listens there.
      const Bytes error = error_about(asked.bytes, resolver.address, F::external(), F::unreachable);
      for (const Outcome& told : {gateway.in(error), gateway.hairpin(blue, error)}) {
        REQUIRE_EQ(told.reason, Reason::translated_inbound);
        CHECK_EQ(told.namespace_id, blue);
        CHECK(begins_with(query, quoted_in(told.bytes)));
        CHECK((F::source(told.bytes).address == from.address));
      }
      // What another tenant sends in the resolver's name is nobody's.
      CHECK_EQ(verdict_of(gateway.hairpin(green, error).reason), Verdict::pass);
      CHECK_FALSE(gateway.hairpin(green, reply).accepted());
    }
  }
}

TEST_CASE_TEMPLATE("first refusal: the gateway itself connects to a port that is forwarded", F, V4,
                   V6) {
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const Filtering filtering : filterings) {
      for (const bool hairpin : {true, false}) {
        for (const auto& address : {F::external(), F::inner_router()}) {
          Policy policy = forwarding<F>(protocol);
          policy.filtering = filtering;
          policy.hairpin = hairpin;
          Gateway gateway(policy, options_of(4));
          const typename F::Peer own{address, 33000};
          for (int times = 0; times < 2; ++times) {
            const Outcome asked = gateway.in(opening(protocol, own, service<F>()));
            REQUIRE_EQ(asked.reason, Reason::translated_inbound);
            CHECK_EQ(asked.namespace_id, green);
            CHECK_EQ(F::source(asked.bytes), own);
            CHECK_EQ(F::destination(asked.bytes), F::neighbour());
            const Outcome came = gateway.hairpin(green, answer(protocol, F::neighbour(), own));
            REQUIRE_EQ(came.reason, Reason::translated_outbound);
            CHECK_EQ(came.namespace_id, 0);
            CHECK_EQ(F::source(came.bytes), service<F>());
            CHECK_EQ(F::destination(came.bytes), own);
            CHECK(sums_right(came.bytes));
            // Too big, or nobody there: told to the gateway's socket.
            const Outcome told = gateway.hairpin(
                green,
                error_about(asked.bytes, F::neighbour().address, own.address, F::unreachable));
            REQUIRE_EQ(told.reason, Reason::translated_outbound);
            CHECK_EQ(told.namespace_id, 0);
            CHECK((F::destination(told.bytes).address == own.address));
            CHECK(begins_with(opening(protocol, own, service<F>()), quoted_in(told.bytes)));
          }
          CHECK_EQ(gateway.engine.session_count(), 1);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("first refusal: errors that the gateway makes about hairpins reach the sender",
                   F, V4, V6) {
  for (const std::uint8_t protocol : protocols_with_ports) {
    for (const IcmpKind kind : {too_big<F>(), time_exceeded<F>(), F::unreachable}) {
      for (const std::uint32_t shards : {1u, 8u}) {
        Gateway gateway(forwarding<F>(protocol), options_of(shards));
        const Bytes sent = opening(protocol, F::client(), service<F>());
        const Outcome passed = gateway.hairpin(blue, sent);
        REQUIRE_EQ(passed.reason, Reason::translated_hairpin);
        REQUIRE_EQ(passed.namespace_id, green);
        // From the gateway's address on the receiver's link, with the receiver's fwmark.
        const Outcome told = gateway.hairpin(
            green, error_about(passed.bytes, F::inner_router(), F::external(), kind));
        REQUIRE_EQ(told.reason, Reason::translated_hairpin);
        CHECK_EQ(told.namespace_id, blue);
        CHECK((F::source(told.bytes).address == F::external()));
        CHECK((F::destination(told.bytes).address == F::client().address));
        CHECK(begins_with(sent, quoted_in(told.bytes)));
        CHECK(sums_right(told.bytes));
      }
    }
  }
}
