// Packets out, and the answers back in: two tenants that both are 10.0.0.2, behind one external
// address.
#include <swnat/engine.h>

#include <chrono>
#include <iostream>
#include <memory>

#include "example.h"

using namespace example;
using swnat::Ipv4Address;

namespace {

constexpr swnat::NamespaceId blue = 1;
constexpr swnat::NamespaceId green = 2;
constexpr Endpoint host{Ipv4Address::of(10, 0, 0, 2), 5000};
constexpr Endpoint server{Ipv4Address::of(198, 51, 100, 7), 53};

// Time since any fixed point, from a clock that nobody sets.
swnat::Time now() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<swnat::Time>(time);
}

Endpoint send(swnat::Engine& engine, swnat::NamespaceId tenant, const char* name) {
  Bytes packet = datagram(host, server, "who are you?");
  const swnat::Reason reason = engine.outbound(packet, tenant, now()).reason;
  std::cout << name << " sends from " << to_text(source_of(packet)) << ": " << text(reason) << '\n';
  return source_of(packet);
}

void receive(swnat::Engine& engine, Endpoint from, Endpoint to) {
  Bytes packet = datagram(from, to, "a server");
  const swnat::Engine::Outcome result = engine.inbound(packet, now());
  std::cout << to_text(from) << " sends to " << to_text(to) << ": " << text(result.reason);
  if (swnat::verdict_of(result.reason) == swnat::Verdict::accept) {
    std::cout << ", to " << to_text(destination_of(packet)) << " of namespace "
              << result.namespace_id;
  }
  std::cout << '\n';
}

}  // namespace

int main() {
  auto policy = std::make_shared<swnat::Policy>();
  policy->external.v4 = {Ipv4Address::of(203, 0, 113, 1)};
  policy->namespaces = {{.first = blue, .last = green, .session_limit = 200}};
  swnat::Engine engine({.shards = 1, .max_sessions = 10'000, .secret = random_secret()}, policy);

  const Endpoint blue_external = send(engine, blue, "blue");
  const Endpoint green_external = send(engine, green, "green");
  std::cout << "they share an external endpoint: " << std::boolalpha
            << (blue_external == green_external) << '\n';

  receive(engine, server, blue_external);
  receive(engine, server, green_external);
  receive(engine, {Ipv4Address::of(192, 0, 2, 66), 53}, blue_external);  // nobody asked it
  send(engine, 3, "nobody");
}
