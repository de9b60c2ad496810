// Rules for what tenants send: destinations that are dropped, and destinations that are replaced by
// others.
#include <swnat/engine.h>

#include <iostream>
#include <memory>

#include "example.h"

using namespace example;
using swnat::Ipv4Address;
using namespace std::chrono_literals;

namespace {

constexpr swnat::NamespaceId blue = 1;
constexpr swnat::NamespaceId green = 2;
constexpr Endpoint host{Ipv4Address::of(10, 0, 0, 2), 5000};
constexpr Endpoint mail_server{Ipv4Address::of(198, 51, 100, 7), 25};
constexpr Endpoint web_server{Ipv4Address::of(198, 51, 100, 7), 80};
constexpr Endpoint resolver{Ipv4Address::of(10, 0, 0, 243), 53};       // whom tenants ask
constexpr Endpoint real_resolver{Ipv4Address::of(10, 7, 0, 0), 5353};  // who answers

swnat::Policy make_policy() {
  swnat::Policy policy;
  policy.external.v4 = {Ipv4Address::of(203, 0, 113, 1)};
  policy.namespaces = {{.first = blue, .last = green}};
  policy.drops = {
      {.protocol = tcp, .ports = {25, 25}, .namespaces = {}},  // nobody's mail
      {.protocol = udp, .ports = {6881, 6889}, .namespaces = {.first = blue, .last = blue}},
  };
  policy.redirects = {{.protocol = udp, .from = resolver, .to = real_resolver, .namespaces = {}}};
  return policy;
}

void send(swnat::Engine& engine, swnat::NamespaceId tenant, Bytes packet) {
  const std::string to = to_text(destination_of(packet));
  const swnat::Reason reason = engine.outbound(packet, tenant, 0s).reason;
  const bool dropped = swnat::verdict_of(reason) == swnat::Verdict::drop;
  std::cout << "namespace " << tenant << " to " << to << ": " << (dropped ? "dropped" : "passed")
            << '\n';
}

}  // namespace

int main() {
  swnat::Engine engine({.max_sessions = 1000, .secret = random_secret()},
                       std::make_shared<const swnat::Policy>(make_policy()));
  send(engine, blue, tcp_syn(host, mail_server));
  send(engine, green, tcp_syn(host, mail_server));
  send(engine, blue, tcp_syn(host, web_server));
  send(engine, blue, datagram(host, {web_server.address, 6885}));
  send(engine, green, datagram(host, {web_server.address, 6885}));

  Bytes question = datagram(host, resolver, "example.org?");
  engine.outbound(question, blue, 0s);
  std::cout << "the question goes from " << to_text(source_of(question)) << " to "
            << to_text(destination_of(question)) << '\n';
  Bytes answer = datagram(destination_of(question), source_of(question), "192.0.2.1");
  engine.inbound(answer, 0s);
  std::cout << "the answer comes from " << to_text(source_of(answer)) << " to "
            << to_text(destination_of(answer)) << '\n';
}
