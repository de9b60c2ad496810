// Timeouts, and how to travel in time: the engine has no clock of its own, so that a test of hours
// takes no time.
#include <swnat/engine.h>

#include <array>
#include <iostream>
#include <memory>

#include "example.h"

using namespace example;
using swnat::Ipv4Address;
using namespace std::chrono_literals;

namespace {

constexpr swnat::NamespaceId blue = 1;
constexpr Endpoint host{Ipv4Address::of(10, 0, 0, 2), 5000};
constexpr Endpoint server{Ipv4Address::of(198, 51, 100, 7), 443};

const char* name_of(std::uint8_t protocol) {
  return protocol == icmp ? "ICMP" : protocol == tcp ? "TCP" : "UDP";
}

void show(const swnat::Engine& engine, swnat::Time now) {
  std::array<swnat::SessionView, 16> page;
  swnat::Engine::Cursor cursor;
  while (const auto count = engine.sessions(cursor, page, now)) {
    for (std::size_t i = 0; i < *count; ++i) {
      std::cout << "  " << name_of(page[i].protocol) << ' ' << page[i].state << ", expires in "
                << page[i].expires_in / 1s << " s\n";
    }
  }
}

}  // namespace

int main() {
  swnat::Policy policy;
  policy.external.v4 = {Ipv4Address::of(203, 0, 113, 1)};
  policy.namespaces = {{.first = blue, .last = blue}};
  policy.timeouts.tcp_established = 1h;
  policy.timeouts.tcp_transitory = 4min;  // until the server answers the SYN
  policy.timeouts.udp = 5min;
  policy.timeouts.icmp = 1min;
  swnat::Engine engine({.max_sessions = 1000, .secret = random_secret()},
                       std::make_shared<const swnat::Policy>(policy));
  swnat::Time now = 0s;

  Bytes question = datagram(host, server);
  engine.outbound(question, blue, now);
  Bytes syn = tcp_syn(host, server);
  engine.outbound(syn, blue, now);
  Bytes echo = ping(host, server.address);
  engine.outbound(echo, blue, now);
  std::cout << "at once:\n";
  show(engine, now);

  now += 59s;
  std::cout << "after 59 seconds:\n";
  show(engine, now);

  // An answer refreshes its session. Expired sessions match no packet, whether expire() freed them
  // yet or not; a program calls it about once a second, for every shard.
  now += 200s;
  Bytes answer = datagram(server, source_of(question));
  std::cout << "after 259 seconds: " << text(engine.inbound(answer, now).reason) << '\n';
  for (std::uint32_t shard = 0; shard < engine.shard_count(); ++shard) {
    engine.expire(shard, now, 1000);
  }
  std::cout << engine.session_count() << " session is left:\n";
  show(engine, now);

  std::cout << "with udp = 30 s, at once also for the sessions that are there:\n";
  policy.timeouts.udp = 30s;
  engine.set_policy(std::make_shared<const swnat::Policy>(policy), now);
  show(engine, now);
  now += 30s;
  answer = datagram(server, source_of(question));
  std::cout << "30 seconds later: " << text(engine.inbound(answer, now).reason) << '\n';
}
