// Listening to what becomes of mappings and sessions, with a reader that is too slow once; and
// sessions that are ended on demand.
#include <swnat/engine.h>

#include <array>
#include <iostream>
#include <memory>

#include "example.h"

using namespace example;
using swnat::EventKind;
using swnat::Ipv4Address;
using namespace std::chrono_literals;

namespace {

constexpr swnat::NamespaceId blue = 1;
constexpr swnat::NamespaceId green = 2;
constexpr Endpoint server{Ipv4Address::of(198, 51, 100, 7), 80};

Endpoint host(std::uint16_t port) {
  return {Ipv4Address::of(10, 0, 0, 2), port};
}

void print(const swnat::Event& event) {
  std::cout << "  " << event.time / 1s << " s: " << name_of(event.kind);
  if (event.kind == EventKind::lost) {
    std::cout << ' ' << event.count << ' ' << name_of(event.lost_kind) << '\n';
    return;
  }
  if (event.kind == EventKind::refused) std::cout << " (" << info(event.reason).text << ')';
  if (event.cause != swnat::EndCause::none) std::cout << " (" << name_of(event.cause) << ')';
  std::cout << ", namespace " << event.namespace_id << ": " << to_text(event.internal);
  if (event.kind != EventKind::refused) std::cout << " as " << to_text(event.external);
  if (event.remote.port != 0) std::cout << " to " << to_text(event.remote);
  std::cout << '\n';
}

// One thread of a program would do this a few times a second, and write a log.
void read(swnat::Engine& engine, swnat::Time now) {
  std::array<swnat::Event, 64> page;
  while (const std::size_t count = engine.take_events(page, now)) {
    for (std::size_t i = 0; i < count; ++i) print(page[i]);
  }
}

}  // namespace

int main() {
  swnat::Policy policy;
  policy.external.v4 = {Ipv4Address::of(203, 0, 113, 1)};
  policy.namespaces = {{.first = blue, .last = blue, .session_limit = 2},
                       {.first = green, .last = green}};
  policy.drops = {{.protocol = tcp, .ports = {25, 25}}};
  swnat::Engine engine({.max_sessions = 1000, .secret = random_secret()},
                       std::make_shared<const swnat::Policy>(policy));
  swnat::Time now = 0s;
  const auto send = [&](swnat::NamespaceId tenant, Bytes packet) {
    now += 1s;
    engine.outbound(packet, tenant, now);
  };

  // Room for 16 in each shard.
  engine.listen(swnat::EventKinds::all(), 16);
  std::cout << "two sessions of one mapping, and one that a rule forbids:\n";
  send(blue, datagram(host(1001), server));
  send(blue, datagram(host(1001), {server.address, 53}));
  send(blue, tcp_syn(host(1002), {server.address, 25}));
  read(engine, now);

  std::cout << "one more than the limit:\n";
  send(blue, datagram(host(1004), server));
  read(engine, now);

  std::cout << "time goes by:\n";
  now += 5min;
  engine.expire(0, now, 100);
  now += 1s;
  engine.expire(0, now, 100);
  read(engine, now);

  std::cout << "nobody reads while ten sessions are made:\n";
  for (std::uint16_t port = 2001; port <= 2010; ++port) send(green, datagram(host(port), server));
  read(engine, now);

  // For a log of who had which external port when.
  engine.listen({EventKind::mapping_made, EventKind::mapping_ended}, 16);
  std::cout << "those of ports below 2003 are ended:\n";
  const swnat::SessionPattern pattern{.internal = {.ports = {1, 2002}}};
  swnat::Engine::Cursor cursor;
  std::size_t ended = 0;
  while (const auto count = engine.end_sessions(pattern, cursor, now)) ended += *count;
  read(engine, now);
  std::cout << "  ended " << ended << ", left " << engine.session_count() << '\n';
}
