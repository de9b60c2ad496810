// A tenant at its session limit: it loses its own least recently active session, or is refused a
// new one.
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
constexpr swnat::NamespaceId green = 2;
constexpr Endpoint server{Ipv4Address::of(198, 51, 100, 7), 80};

struct Network {
  swnat::Engine& engine;
  swnat::Time now = 0s;

  // Each packet a second after the one before.
  void send(swnat::NamespaceId tenant, Bytes packet) {
    now += 1s;
    const std::string from = to_text(source_of(packet));
    const swnat::Reason reason = engine.outbound(packet, tenant, now).reason;
    std::cout << "  " << from << " of namespace " << tenant << ": " << text(reason) << '\n';
  }

  void show() {
    std::array<swnat::SessionView, 16> page;
    swnat::Engine::Cursor cursor;
    while (const auto count = engine.sessions(cursor, page, now)) {
      for (std::size_t i = 0; i < *count; ++i) {
        std::cout << "  session of namespace " << page[i].namespace_id << ": "
                  << to_text(page[i].internal) << ", idle for " << page[i].idle / 1s << " s\n";
      }
    }
    for (const swnat::NamespaceUse& use : engine.namespaces()) {
      std::cout << "  namespace " << use.id << " has " << use.sessions << " of "
                << use.session_limit << '\n';
    }
  }
};

Endpoint host(std::uint16_t port) {
  return {Ipv4Address::of(10, 0, 0, 2), port};
}

}  // namespace

int main() {
  swnat::Policy policy;
  policy.external.v4 = {Ipv4Address::of(203, 0, 113, 1)};
  policy.namespaces = {
      {.first = blue, .last = blue, .session_limit = 3},  // all protocols together
      {.first = green, .last = green},                    // 200
  };
  swnat::Engine engine({.max_sessions = 1000, .secret = random_secret()},
                       std::make_shared<const swnat::Policy>(policy));
  Network network{engine};

  std::cout << "at its limit:\n";
  network.send(green, datagram(host(999), server));
  network.send(blue, datagram(host(1001), server));
  network.send(blue, tcp_syn(host(1002), server));
  network.send(blue, ping(host(1003), server.address));
  network.send(blue, datagram(host(1001), server));  // so 1002 is now the least recently active
  network.show();

  std::cout << "one more, which ends that of port 1002:\n";
  network.send(blue, datagram(host(1004), server));
  network.show();

  std::cout << "with at_limit = refuse:\n";
  policy.at_limit = swnat::AtLimit::refuse;
  engine.set_policy(std::make_shared<const swnat::Policy>(policy), network.now);
  network.send(blue, datagram(host(1005), server));
  network.send(blue, datagram(host(1001), server));  // a session that is there is not new

  std::cout << "with a limit of 1:\n";
  policy.namespaces[0].session_limit = 1;
  engine.set_policy(std::make_shared<const swnat::Policy>(policy), network.now);
  network.show();
}
