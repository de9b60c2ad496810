// A way to each reason that a packet can get.
#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <string>

#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Peer web = at(server, 80);

Outcome send_one(const Bytes& packet) {
  Gateway gateway;
  return gateway.out(blue, packet);
}

Policy tight(AtLimit at_limit) {
  Policy policy = roomy_policy();
  policy.at_limit = at_limit;
  policy.ports = {40000, 40000};
  policy.namespaces[0].session_limit = 1;
  return policy;
}

// One way to each reason there is.
const std::map<Reason, std::function<Outcome()>>& ways() {
  static const std::map<Reason, std::function<Outcome()>> all{
      {Reason::translated_outbound, [] { return send_one(udp(client, web)); }},
      {Reason::translated_inbound,
       [] {
         Gateway gateway;
         return gateway.in(udp(web, gateway.open(protocol::udp, blue, client, web)));
       }},
      {Reason::translated_hairpin,
       [] {
         Policy policy = roomy_policy();
         policy.filtering = Filtering::endpoint_independent;
         Gateway gateway(policy);
         return gateway.hairpin(green, udp(client, gateway.open(protocol::udp, blue, client, web)));
       }},
      {Reason::not_ip, [] { return send_one(Bytes(40, 0x50)); }},
      {Reason::malformed_ip, [] { return send_one(with_word(udp(client, web), 2, 1000)); }},
      {Reason::malformed_transport, [] { return send_one(with_word(udp(client, web), 24, 1000)); }},
      {Reason::malformed_fragment,
       [] { return send_one(with_word(udp(client, web, Bytes(1)), 6, 0x2000)); }},
      {Reason::fragment_waits,
       [] { return send_one(with_word(udp(client, web, Bytes(8)), 6, 0x0010)); }},
      {Reason::fragment_unfinished,
       [] {
         Gateway gateway;
         return gateway.out(blue, with_word(udp(client, web, Bytes(8)), 6, 0x2000),
                            ChecksumState::partial);
       }},
      {Reason::unsupported_protocol,
       [] {
         return send_one(ip_packet(client.address, web.address, Bytes(20), {.protocol = 51}));
       }},
      {Reason::remote_in_use,
       [] {
         Gateway gateway;
         const Bytes gre = ip_packet(client.address, web.address, Bytes(20), {.protocol = 47});
         gateway.out(blue, gre);
         return gateway.out(green, gre);
       }},
      {Reason::untranslated,
       [] {
         Policy policy = roomy_policy();
         policy.namespaces[0].untranslated = {Network<Ipv4Address>{web.address, 32}};
         Gateway gateway(policy);
         return gateway.out(blue, udp(client, web));
       }},
      {Reason::dropped_by_rule,
       [] {
         Policy policy = roomy_policy();
         policy.drops = {{.protocol = protocol::udp, .ports = {80, 80}, .namespaces = {}}};
         Gateway gateway(policy);
         return gateway.out(blue, udp(client, web));
       }},
      {Reason::no_external_address, [] { return send_one(Bytes(40, 0x60)); }},
      {Reason::malformed_icmp_error,
       [] { return send_one(icmp(client.address, web.address, 3, 3, 0, Bytes(28))); }},
      {Reason::icmp_error_unmatched,
       [] {
         Gateway gateway;
         return gateway.in(
             icmp(web.address, external_host, 3, 3, 0, udp({external_host, 50000}, web)));
       }},
      {Reason::icmp_error_unsent,
       [] { return send_one(icmp(client.address, web.address, 3, 3, 0, udp(web, client))); }},
      {Reason::icmp_unsupported,
       [] { return send_one(icmp(client.address, web.address, 13, 0, 7, Bytes(12))); }},
      {Reason::invalid_address,
       [] {
         return send_one(udp(client, {Host::of(224, 0, 0, 251), 5353}));
       }},
      {Reason::invalid_port, [] { return send_one(udp(client, at(web, 0))); }},
      {Reason::unknown_namespace,
       [] {
         Gateway gateway;
         return gateway.out(9999, udp(client, web));
       }},
      {Reason::no_mapping,
       [] {
         Gateway gateway;
         return gateway.in(udp(web, {external_host, 50000}));
       }},
      {Reason::filtered,
       [] {
         Gateway gateway;
         const Peer external = gateway.open(protocol::udp, blue, client, web);
         return gateway.in(udp({Host::of(192, 0, 2, 1), 80}, external));
       }},
      {Reason::answer_in_use,
       [] {
         const Peer other{Host::of(192, 0, 2, 1), 80};
         Policy policy = roomy_policy();
         policy.filtering = Filtering::endpoint_independent;
         policy.redirects = {{.protocol = protocol::udp, .from = web, .to = other}};
         Gateway gateway(policy);
         return gateway.in(udp(web, gateway.open(protocol::udp, blue, client, web)));
       }},
      {Reason::foreign_segment,
       [] {
         Gateway gateway;
         const Peer external = gateway.open(protocol::tcp, blue, client, web);
         return gateway.in(tcp(at(web, 81), external, {.flags = 0x10}));
       }},
      {Reason::foreign_icmp,
       [] {
         Gateway gateway;
         return gateway.in(echo_request(web, external_host));
       }},
      {Reason::foreign_protocol,
       [] {
         Gateway gateway;
         return gateway.in(ip_packet(web.address, external_host, Bytes(20), {.protocol = 51}));
       }},
      {Reason::foreign_fwmark,
       [] {
         Gateway gateway;
         return gateway.hairpin(9999, udp(client, {external_host, 50000}));
       }},
      {Reason::tcp_not_syn, [] { return send_one(tcp(client, web, {.flags = 0x10})); }},
      {Reason::session_limit,
       [] {
         Gateway gateway(tight(AtLimit::refuse));
         gateway.open(protocol::udp, blue, client, web);
         return gateway.out(blue, udp(client, at(web, 81)));
       }},
      {Reason::port_limit,
       [] {
         Policy policy = roomy_policy();
         policy.namespaces[0].port_limit = 1;
         Gateway gateway(policy);
         gateway.open(protocol::udp, blue, client, web);
         return gateway.out(blue, udp(at(client, 1), web));
       }},
      {Reason::table_full,
       [] {
         Gateway gateway(roomy_policy(), options_of(1, 1));
         gateway.open(protocol::udp, blue, client, web);
         return gateway.out(blue, udp(client, at(web, 81)));
       }},
      {Reason::no_free_port,
       [] {
         Gateway gateway(tight(AtLimit::evict_oldest));
         gateway.open(protocol::udp, blue, client, web);
         return gateway.out(green, udp(client, web));
       }},
      {Reason::hairpin_off,
       [] {
         Policy policy = roomy_policy();
         policy.hairpin = false;
         Gateway gateway(policy);
         return gateway.hairpin(green, udp(client, gateway.open(protocol::udp, blue, client, web)));
       }},
  };
  return all;
}

struct OddAddress {
  const char* name;
  Host address;
  bool valid;
};

const OddAddress addresses[] = {
    {"unspecified", Host::of(0, 0, 0, 0), false},
    {"this network", Host::of(0, 1, 2, 3), false},
    {"first unicast", Host::of(1, 0, 0, 1), true},
    {"before loopback", Host::of(126, 255, 255, 254), true},
    {"loopback", Host::of(127, 0, 0, 1), false},
    {"the end of loopback", Host::of(127, 255, 255, 254), false},
    {"behind loopback", Host::of(128, 0, 0, 1), true},
    {"shared", Host::of(100, 64, 0, 1), true},
    {"the last unicast", Host::of(223, 255, 255, 254), true},
    {"the first multicast", Host::of(224, 0, 0, 1), false},
    {"the last multicast", Host::of(239, 255, 255, 255), false},
    {"reserved", Host::of(240, 0, 0, 1), false},
    {"broadcast", Host::of(255, 255, 255, 255), false},
};

}  // namespace

TEST_CASE("reasons: there is a way to each of them") {
  for (std::size_t i = 0; i < reason_count; ++i) {
    const auto reason = static_cast<Reason>(i);
    INFO(std::string(info(reason).name));
    const auto way = ways().find(reason);
    REQUIRE_NE(way, ways().end());
    const Outcome outcome = way->second();
    CHECK_EQ(outcome.reason, reason);
    CHECK_EQ(outcome.accepted(), info(reason).verdict == Verdict::accept);
  }
}

TEST_CASE("reasons: what is translated, or need not be, is accepted, and every text is there") {
  for (std::size_t i = 0; i < reason_count; ++i) {
    const ReasonInfo& reason = reasons[i];
    const bool is_right = reason.name.starts_with("translated_") || reason.name == "untranslated";
    CHECK_EQ(reason.verdict == Verdict::accept, is_right);
    CHECK_EQ(reason.verdict == Verdict::hold, reason.name == "fragment_waits");
    if (reason.name.starts_with("foreign_")) CHECK_EQ(reason.verdict, Verdict::pass);
    CHECK_FALSE(reason.text.empty());
  }
}

TEST_CASE("reasons: addresses that no host can have") {
  for (const OddAddress& c : addresses) {
    INFO(std::string(c.name));
    const Peer odd{c.address, 1234};
    const Reason outbound = c.valid ? Reason::translated_outbound : Reason::invalid_address;
    Policy policy = roomy_policy();
    policy.filtering = Filtering::endpoint_independent;
    for (const std::uint8_t protocol : all_protocols) {
      Gateway gateway(policy);
      CHECK_EQ(gateway.out(blue, opening(protocol, odd, server)).reason, outbound);
      CHECK_EQ(gateway.out(blue, opening(protocol, client, odd)).reason, outbound);
      if (c.valid) continue;
      const Peer external = gateway.open(protocol, blue, client, server);
      if (protocol != protocol::icmp) {
        CHECK_EQ(gateway.in(opening(protocol, odd, external)).reason, Reason::invalid_address);
      }
      // A ping of an external address is the gateway's, whoever sends it.
      CHECK_EQ(gateway.hairpin(blue, opening(protocol, odd, external)).reason,
               protocol == protocol::icmp ? Reason::foreign_icmp : Reason::invalid_address);
    }
  }
}

TEST_CASE("reasons: port 0 is no port") {
  for (const std::uint8_t protocol : {protocol::tcp, protocol::udp}) {
    Gateway gateway;
    CHECK_EQ(gateway.out(blue, opening(protocol, at(client, 0), server)).reason,
             Reason::invalid_port);
    CHECK_EQ(gateway.out(blue, opening(protocol, client, at(server, 0))).reason,
             Reason::invalid_port);
    const Peer external = gateway.open(protocol, blue, client, server);
    CHECK_EQ(gateway.in(opening(protocol, at(server, 0), external)).reason, Reason::invalid_port);
    CHECK_FALSE(gateway.in(opening(protocol, server, at(external, 0))).accepted());
  }
}
