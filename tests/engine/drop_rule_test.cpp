// Outbound packets that a rule drops, and destinations that are reached as they are.
#include <doctest/doctest.h>

#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Policy dropping(std::vector<DropRule> drops) {
  Policy policy = policy_of_both();
  policy.drops = std::move(drops);
  return policy;
}

Policy untranslated_policy() {
  Policy policy = policy_of_both();
  policy.namespaces = {
      {.first = blue,
       .last = blue,
       .session_limit = 100,
       .untranslated = {Network<Host>{Host::of(198, 51, 100, 0), 24},
                        Network<Host6>{host6({0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0}), 48}}},
      {.first = green, .last = green, .session_limit = 100}};
  return policy;
}

}  // namespace

TEST_CASE_TEMPLATE("drop_rule: by protocol, port and namespace", F, V4, V6) {
  Gateway gateway(dropping({{.protocol = protocol::tcp, .ports = {25, 25}},
                            {.protocol = protocol::udp, .ports = {6881, 6889}},
                            {.protocol = protocol::tcp,
                             .ports = {443, 443},
                             .namespaces = {.first = green, .last = green}}}),
                  options_of(4));
  struct Case {
    NamespaceId id;
    std::uint8_t protocol;
    std::uint16_t port;
    bool drops;
  };
  for (const Case& c :
       {Case{blue, protocol::tcp, 25, true}, Case{green, protocol::tcp, 25, true},
        Case{blue, protocol::udp, 25, false}, Case{blue, protocol::tcp, 24, false},
        Case{blue, protocol::tcp, 26, false}, Case{blue, protocol::udp, 6880, false},
        Case{blue, protocol::udp, 6881, true}, Case{blue, protocol::udp, 6889, true},
        Case{blue, protocol::udp, 6890, false}, Case{blue, protocol::tcp, 443, false},
        Case{green, protocol::tcp, 443, true}}) {
    for (const Direction direction : {Direction::outbound, Direction::hairpin}) {
      CAPTURE(c.id);
      CAPTURE(c.port);
      const std::uint64_t before = gateway.engine.session_count();
      const Bytes packet = opening(c.protocol, F::client(), at(F::server(), c.port));
      const Outcome left = gateway.translate(direction, c.id, packet);
      CHECK_EQ(left.reason == Reason::dropped_by_rule, c.drops);
      if (c.drops) {
        CHECK_EQ(left.bytes, packet);
        CHECK_EQ(gateway.engine.session_count(), before);
      }
    }
  }
}

TEST_CASE_TEMPLATE("drop_rule: ICMP of either family, but not its errors", F, V4, V6) {
  Gateway gateway(dropping({{.protocol = protocol::icmp}}), options_of(4));
  CHECK_EQ(gateway.out(blue, opening(protocol::icmp, F::client(), F::server())).reason,
           Reason::dropped_by_rule);
  const auto external = open<F>(gateway, protocol::udp, blue, F::client(), F::server());
  const Outcome came = gateway.in(udp(F::server(), external, payload_of(9)));
  CHECK(gateway.out(blue, error_about(came.bytes, F::client().address, F::server().address))
            .accepted());
}

TEST_CASE("drop_rule: what comes from outside is no concern of it") {
  Policy policy = dropping({{.protocol = protocol::tcp, .ports = {25, 25}}});
  policy.forwards = {{.protocol = protocol::tcp,
                      .external = Peer{external_host, 40080},
                      .namespace_id = blue,
                      .to = client}};
  Gateway gateway(policy);
  const Peer mailer = at(server, 25);
  REQUIRE(gateway.in(tcp(mailer, {external_host, 40080})).accepted());
  CHECK(gateway.out(blue, answer(protocol::tcp, client, mailer)).accepted());
  CHECK_EQ(gateway.out(blue, tcp(at(client, 1234), mailer)).reason, Reason::dropped_by_rule);
}

TEST_CASE_TEMPLATE("drop_rule: a new rule ends the sessions that it forbids, and no others", F, V4,
                   V6) {
  Gateway gateway(policy_of_both(), options_of(4));
  const auto mailer = at(F::server(), 25);
  const auto kept = open<F>(gateway, protocol::tcp, blue, F::client(), F::server());
  open<F>(gateway, protocol::tcp, blue, F::client(), mailer);
  gateway.set_policy(dropping({{.protocol = protocol::tcp, .ports = {25, 25}}}));
  CHECK_EQ(gateway.engine.session_count(), 1);
  CHECK(answers<F>(gateway, protocol::tcp, F::server(), kept, blue, F::client()));
  CHECK_EQ(gateway.out(blue, tcp(F::client(), mailer, {.flags = 0x10})).reason,
           Reason::dropped_by_rule);
}

TEST_CASE_TEMPLATE("untranslated: packets pass as they are, and make no session", F, V4, V6) {
  Gateway gateway(untranslated_policy(), options_of(2));
  for (const Direction direction : {Direction::outbound, Direction::hairpin}) {
    for (const std::uint8_t protocol : all_protocols) {
      const Bytes packet = opening(protocol, F::client(), F::server());
      const Outcome left = gateway.translate(direction, blue, packet);
      CHECK_EQ(left.reason, Reason::untranslated);
      CHECK_EQ(left.bytes, packet);
    }
    // Also in the middle of a connection, and what the NAT could not translate.
    const Bytes middle = tcp(F::client(), F::server(), {.flags = 0x10});
    CHECK_EQ(gateway.translate(direction, blue, middle).reason, Reason::untranslated);
    const Bytes error = error_about(udp(F::server(), F::client(), payload_of(9)),
                                    F::client().address, F::server().address);
    CHECK_EQ(gateway.translate(direction, blue, error).reason, Reason::untranslated);
  }
  CHECK_EQ(gateway.engine.session_count(), 0);
  CHECK_EQ(gateway.count(Reason::untranslated), 10);
  CHECK_EQ(gateway.out(blue, udp(F::client(), F::stranger())).reason, Reason::translated_outbound);
  CHECK_EQ(gateway.out(green, udp(F::client(), F::server())).reason, Reason::translated_outbound);
}

TEST_CASE_TEMPLATE("untranslated: also what could not be translated", F, V4, V6) {
  Gateway gateway(untranslated_policy(), options_of(2));
  // An answer to a ping from there, and a protocol that the NAT does not know.
  const Bytes pong = answer(protocol::icmp, F::client(), F::server());
  Bytes odd = udp(F::client(), F::server(), payload_of(9));
  odd[F::icmp == protocol::icmp ? 9 : 6] = 89;
  if (F::icmp == protocol::icmp) odd = header_summed(odd);
  for (const Bytes& packet : {pong, odd}) {
    for (const Direction direction : {Direction::outbound, Direction::hairpin}) {
      const Outcome left = gateway.translate(direction, blue, packet);
      CHECK_EQ(left.reason, Reason::untranslated);
      CHECK_EQ(left.bytes, packet);
      CHECK_FALSE(gateway.translate(direction, green, packet).accepted());
      CHECK_FALSE(gateway.translate(direction, 99, packet).accepted());
    }
    for (const Bytes& piece : fragments_of(packet, 8)) {
      const Outcome left = gateway.out(blue, piece);
      CHECK_EQ(left.reason, Reason::untranslated);
      CHECK_EQ(left.bytes, piece);
    }
  }
}

TEST_CASE_TEMPLATE("untranslated: a drop rule and a redirect come first", F, V4, V6) {
  Policy policy = untranslated_policy();
  policy.drops = {{.protocol = protocol::tcp, .ports = {25, 25}}, {.protocol = protocol::icmp}};
  policy.redirects = {
      {.protocol = protocol::udp, .from = at(F::server(), 53), .to = F::stranger()}};
  Gateway gateway(policy);
  CHECK_EQ(gateway.out(blue, tcp(F::client(), at(F::server(), 25))).reason,
           Reason::dropped_by_rule);
  CHECK_EQ(gateway.out(blue, answer(protocol::icmp, F::client(), F::server())).reason,
           Reason::dropped_by_rule);
  const Outcome left = gateway.out(blue, udp(F::client(), at(F::server(), 53)));
  CHECK_EQ(left.reason, Reason::translated_outbound);
  CHECK_EQ(F::destination(left.bytes), F::stranger());
}

TEST_CASE("untranslated: a new rule ends the sessions that it would have let pass") {
  Policy policy = untranslated_policy();
  policy.namespaces[0].untranslated.clear();
  Gateway gateway(policy);
  gateway.open(protocol::udp, blue, client, server);
  const Peer kept = gateway.open(protocol::udp, green, client, server);
  gateway.set_policy(untranslated_policy());
  CHECK_EQ(gateway.engine.session_count(), 1);
  CHECK(gateway.answers(protocol::udp, server, kept, green, client));
  CHECK_EQ(gateway.out(blue, udp(client, server)).reason, Reason::untranslated);
}
