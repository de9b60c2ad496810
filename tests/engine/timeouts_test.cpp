// When sessions expire, and what keeps them.
#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// All different, and no multiple of any clock's step.
const Timeouts odd_timeouts{
    .tcp_established = 100'001ms, .tcp_transitory = 20'003ms, .udp = 30'007ms, .icmp = 10'009ms};

Policy odd_policy(Filtering filtering = Filtering::address_dependent) {
  Policy policy = roomy_policy();
  policy.timeouts = odd_timeouts;
  policy.filtering = filtering;
  return policy;
}

constexpr std::uint8_t syn_ack = 0x12;
constexpr std::uint8_t ack = 0x10;
constexpr std::uint8_t fin_ack = 0x11;
constexpr std::uint8_t rst = 0x04;

// A connection as its two ends see it.
struct Dialogue {
  Gateway& gateway;
  Peer external{};

  void out(std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledgment) {
    const TcpFields fields{.flags = flags, .sequence = sequence, .acknowledgment = acknowledgment};
    const Outcome sent = gateway.out(blue, tcp(client, server, fields));
    REQUIRE_EQ(sent.reason, Reason::translated_outbound);
    external = sent.source();
  }
  void in(std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledgment) {
    const TcpFields fields{.flags = flags, .sequence = sequence, .acknowledgment = acknowledgment};
    REQUIRE_EQ(gateway.in(tcp(server, external, fields)).reason, Reason::translated_inbound);
  }
  void handshake() {
    out(0x02, 1000, 0);
    in(syn_ack, 5000, 1001);
    out(ack, 1001, 5001);
  }
};

struct Case {
  const char* name;
  std::uint8_t protocol;
  Time timeout;
  const char* state;
  std::function<Peer(Gateway&)> make;  // the external endpoint
};

Peer opened(Gateway& gateway, std::uint8_t protocol) {
  return gateway.open(protocol, blue, client, server);
}

template <class Talk>
std::function<Peer(Gateway&)> talked(Talk talk) {
  return [talk](Gateway& gateway) {
    Dialogue dialogue{gateway};
    talk(dialogue);
    return dialogue.external;
  };
}

std::vector<Case> cases() {
  const Timeouts& t = odd_timeouts;
  return {
      {"udp", protocol::udp, t.udp, "active",
       [](Gateway& gateway) { return opened(gateway, protocol::udp); }},
      {"icmp", protocol::icmp, t.icmp, "active",
       [](Gateway& gateway) { return opened(gateway, protocol::icmp); }},
      {"tcp opening", protocol::tcp, t.tcp_transitory, "opening",
       [](Gateway& gateway) { return opened(gateway, protocol::tcp); }},
      {"tcp established", protocol::tcp, t.tcp_established, "established",
       talked([](Dialogue& d) { d.handshake(); })},
      {"tcp half-closed", protocol::tcp, t.tcp_established, "half-closed", talked([](Dialogue& d) {
         d.handshake();
         d.out(fin_ack, 1001, 5001);
         d.in(ack, 5001, 1002);
       })},
      {"tcp half-closed by the remote", protocol::tcp, t.tcp_established, "half-closed",
       talked([](Dialogue& d) {
         d.handshake();
         d.in(fin_ack, 5001, 1001);
       })},
      {"tcp closing", protocol::tcp, t.tcp_transitory, "closing", talked([](Dialogue& d) {
         d.handshake();
         d.out(fin_ack, 1001, 5001);
         d.in(fin_ack, 5001, 1002);
         d.out(ack, 1002, 5002);
       })},
      {"tcp reset", protocol::tcp, t.tcp_transitory, "reset", talked([](Dialogue& d) {
         d.handshake();
         d.in(rst, 5001, 0);
       })},
      {"tcp reset, then traffic", protocol::tcp, t.tcp_established, "established",
       talked([](Dialogue& d) {
         d.handshake();
         d.in(rst, 5001, 0);
         d.out(ack, 1001, 5001);
       })},
  };
}

// A segment that changes no state, or an answer.
Bytes probe(std::uint8_t protocol, Peer external) {
  if (protocol != protocol::tcp) return answer(protocol, server, external);
  return tcp(server, external, {.flags = ack, .sequence = 5001, .acknowledgment = 1001});
}

const Time starts[] = {0ms, 1'000'000ms, Time{0xffff'ffff} - 5000ms, Time{0x7fff'ffff} - 5000ms,
                       Time{std::int64_t{1} << 40}};

}  // namespace

TEST_CASE("timeouts: each state has its own, to the millisecond") {
  for (const Case& c : cases()) {
    for (const Time start : starts) {
      INFO(std::string(c.name));
      CAPTURE(start.count());
      for (const Time offset : {-1ms, 1ms}) {
        Gateway gateway(odd_policy());
        gateway.now = start;
        const Peer external = c.make(gateway);
        REQUIRE_EQ(gateway.sessions().size(), 1);
        CHECK_EQ(std::string(gateway.sessions()[0].state), c.state);
        CHECK_EQ(gateway.sessions()[0].expires_in.count(), c.timeout.count());
        gateway.travel(c.timeout + offset);
        const bool lives = offset < 0ms;
        CHECK_EQ(gateway.sessions().size(), lives ? 1 : 0);
        CHECK_EQ(gateway.in(probe(c.protocol, external)).reason,
                 lives ? Reason::translated_inbound : Reason::no_mapping);
      }
    }
  }
}

TEST_CASE("timeouts: an expired session is freed by expire, and not before") {
  for (const Case& c : cases()) {
    INFO(std::string(c.name));
    Gateway gateway(odd_policy());
    c.make(gateway);
    gateway.travel(c.timeout - 1ms);
    gateway.expire_all();
    CHECK_EQ(gateway.engine.session_count(), 1);
    // The wheel's slots are half a second wide, and a lazy timer looks again at most twice.
    gateway.travel(2s);
    gateway.expire_all();
    CHECK_EQ(gateway.engine.session_count(), 0);
    CHECK_EQ(gateway.session_count(blue), 0);
  }
}

TEST_CASE("timeouts: rfc5382_req5 rfc4787_req5 the defaults are what the standards ask for") {
  const Timeouts defaults;
  CHECK_GE(defaults.tcp_established, 124min);
  CHECK_GE(defaults.tcp_transitory, 4min);
  CHECK_GE(defaults.udp, 5min);
  CHECK_GE(defaults.icmp, 60s);
}

TEST_CASE("timeouts: rfc4787_req6 outbound traffic refreshes") {
  for (const Case& c : cases()) {
    if (c.protocol == protocol::tcp) continue;
    Gateway gateway(odd_policy());
    const Peer external = c.make(gateway);
    for (int i = 0; i < 10; ++i) {
      gateway.travel(c.timeout - 1ms);
      CHECK_EQ(gateway.open(c.protocol, blue, client, server), external);
      gateway.expire_all();
    }
    gateway.travel(c.timeout - 1ms);
    CHECK(gateway.answers(c.protocol, server, external, blue, client));
  }
}

TEST_CASE("timeouts: inbound traffic refreshes where filtering chose the remote") {
  for (const Filtering filtering :
       {Filtering::address_dependent, Filtering::address_and_port_dependent}) {
    for (const std::uint8_t protocol : {protocol::icmp, protocol::udp}) {
      Gateway gateway(odd_policy(filtering));
      const Time timeout = protocol == protocol::udp ? odd_timeouts.udp : odd_timeouts.icmp;
      const Peer external = gateway.open(protocol, blue, client, server);
      for (int i = 0; i < 10; ++i) {
        gateway.travel(timeout - 1ms);
        CHECK(gateway.answers(protocol, server, external, blue, client));
      }
    }
  }
}

TEST_CASE("timeouts: rfc7857_s7 inbound traffic refreshes nothing where anybody may send") {
  for (const std::uint8_t protocol : {protocol::icmp, protocol::udp}) {
    CAPTURE(int{protocol});
    Gateway gateway(odd_policy(Filtering::endpoint_independent));
    const Time timeout = protocol == protocol::udp ? odd_timeouts.udp : odd_timeouts.icmp;
    const Peer external = gateway.open(protocol, blue, client, server);
    gateway.travel(timeout / 2);
    CHECK(gateway.answers(protocol, server, external, blue, client));
    gateway.travel(timeout / 2 + 2ms);
    CHECK_FALSE(gateway.answers(protocol, server, external, blue, client));
  }
}

TEST_CASE("timeouts: rfc7857_s7 nor do ever new remotes keep a mapping") {
  Gateway gateway(odd_policy(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  for (std::uint16_t port = 1000; port < 1010; ++port) {
    gateway.in(udp(at(server, port), external));
    gateway.travel(odd_timeouts.udp / 4);
    gateway.expire_all();
  }
  CHECK_EQ(gateway.in(udp(at(server, 2000), external)).reason, Reason::no_mapping);
}

TEST_CASE("timeouts: rfc4787_req6 nor do their SYNs, however they are answered") {
  constexpr std::uint8_t nothing = 0;
  constexpr std::uint8_t rst_ack = 0x14;
  for (const std::uint8_t answer : {nothing, rst_ack, syn_ack}) {
    CAPTURE(answer);
    Gateway gateway(odd_policy(Filtering::endpoint_independent));
    const Peer external = gateway.open(protocol::tcp, blue, client, server);
    const auto half = odd_timeouts.tcp_transitory / 2;
    Reason reason = Reason::translated_inbound;
    for (std::uint16_t port = 1000; port < 1010; ++port) {
      const Peer remote = at(server, port);
      reason = gateway.in(tcp(remote, external)).reason;
      if (answer != nothing && reason == Reason::translated_inbound) {
        gateway.out(blue, tcp(client, remote, {.flags = answer, .acknowledgment = 1001}));
      }
      gateway.travel(half);
      gateway.expire_all();
    }
    CHECK_EQ(reason, Reason::no_mapping);
  }
}

TEST_CASE("timeouts: a connection from outside that is established keeps the mapping for others") {
  Gateway gateway(odd_policy(Filtering::endpoint_independent));
  const Peer external = gateway.open(protocol::tcp, blue, client, server);
  for (std::uint16_t port = 1000; port < 1003; ++port) {  // stand before and behind it
    CHECK(gateway.in(tcp(at(server, port), external)).accepted());
  }
  CHECK(gateway
            .out(blue, tcp(client, at(server, 1001),
                           {.flags = 0x12, .sequence = 77, .acknowledgment = 1001}))
            .accepted());
  CHECK(gateway
            .in(tcp(at(server, 1001), external,
                    {.flags = 0x10, .sequence = 1001, .acknowledgment = 78}))
            .accepted());
  gateway.travel(odd_timeouts.tcp_transitory + 1ms);
  gateway.expire_all();
  CHECK(gateway.in(tcp(at(server, 2000), external)).accepted());
}

TEST_CASE("timeouts: a reset or FIN outside the window refreshes nothing") {
  for (const std::uint8_t flags : {rst, fin_ack}) {
    Gateway gateway(odd_policy());
    Dialogue dialogue{gateway};
    dialogue.handshake();
    gateway.travel(50s);
    dialogue.in(flags, 5001 + 900'000, 1001);
    CHECK_EQ(std::string(gateway.sessions()[0].state), "established");
    CHECK_EQ(gateway.sessions()[0].idle, 50s);
    gateway.travel(odd_timeouts.tcp_established - 50s + 1ms);
    CHECK_EQ(gateway.in(probe(protocol::tcp, dialogue.external)).reason, Reason::no_mapping);
  }
}

TEST_CASE("timeouts: time that is a little behind takes nothing back") {
  Gateway gateway(odd_policy());
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  gateway.travel(-3s);
  CHECK_EQ(gateway.open(protocol::udp, blue, client, server), external);
  CHECK(gateway.answers(protocol::udp, server, external, blue, client));
  CHECK_GE(gateway.sessions()[0].idle, 0ms);
  gateway.expire_all();
  CHECK_EQ(gateway.engine.session_count(), 1);
  gateway.travel(3s + odd_timeouts.udp - 1ms);
  CHECK(gateway.answers(protocol::udp, server, external, blue, client));
}

TEST_CASE("timeouts: a new policy's timeouts count for the sessions that are") {
  Gateway gateway(odd_policy());
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  gateway.travel(10s);
  Policy shorter = odd_policy();
  shorter.timeouts.udp = 9s;
  gateway.set_policy(shorter);
  CHECK_FALSE(gateway.answers(protocol::udp, server, external, blue, client));
  Policy longer = odd_policy();
  longer.timeouts.udp = max_timeout;
  gateway.set_policy(odd_policy());
  const Peer second = gateway.open(protocol::udp, blue, client, server);
  gateway.set_policy(longer);
  gateway.travel(max_timeout - 1ms);
  gateway.expire_all();
  CHECK(gateway.answers(protocol::udp, server, second, blue, client));
}

TEST_CASE("timeouts: a shortened timeout is noticed within a turn of the wheel") {
  Policy longest = odd_policy();
  longest.timeouts.udp = max_timeout;
  Gateway gateway(longest);
  gateway.open(protocol::udp, blue, client, server);
  Policy shorter = odd_policy();
  shorter.timeouts.udp = 5s;
  gateway.set_policy(shorter);
  for (int i = 0; i < 70; ++i) {
    gateway.travel(1s);
    gateway.expire_all();
  }
  CHECK_EQ(gateway.engine.session_count(), 0);
}

TEST_CASE("timeouts: expire looks at no more than its budget, and says when nothing is due") {
  for (const std::uint32_t shards : {1U, 4U}) {
    Gateway gateway(odd_policy(), options_of(shards));
    for (std::uint16_t port = 1000; port < 1400; ++port) {
      gateway.open(protocol::udp, blue, at(client, port), server);
    }
    for (std::uint32_t shard = 0; shard < shards; ++shard) {
      CHECK_EQ(gateway.engine.expire(shard, gateway.now, 10), 0);
    }
    gateway.travel(odd_timeouts.udp + 2s);
    std::uint32_t rounds = 0;
    for (std::uint32_t shard = 0; shard < shards; ++shard) {
      std::uint32_t looked = 0;
      do {
        looked = gateway.engine.expire(shard, gateway.now, 10);
        CHECK_LE(looked, 10);
        ++rounds;
      } while (looked == 10);
    }
    CHECK_EQ(gateway.engine.session_count(), 0);
    CHECK_GE(rounds, 40);
  }
}

// Ticks are 32 bits wide. While a machine sleeps, nobody calls.
TEST_CASE("timeouts: sessions are over after any time in which nobody called") {
  constexpr int days[] = {7, 24, 25, 30, 48, 49, 50, 99, 400};
  for (const int slept : days) {
    CAPTURE(slept);
    Gateway gateway;
    gateway.open(protocol::udp, blue, client, server);
    gateway.open(protocol::tcp, blue, client, server);
    gateway.travel(std::chrono::hours(24) * slept + 2min);
    SUBCASE("and then the expiry does") {
      gateway.expire_all();
    }
    SUBCASE("and then a packet comes") {
      CHECK_EQ(gateway.in(udp(server, Peer{external_host, client.port})).reason,
               Reason::no_mapping);
    }
    CHECK_EQ(gateway.engine.session_count(), 0);
    // And time goes on as before.
    gateway.open(protocol::udp, green, client, server);
    gateway.travel(6min);
    gateway.expire_all();
    gateway.travel(1s);
    gateway.expire_all();
    CHECK_EQ(gateway.engine.session_count(), 0);
  }
}
