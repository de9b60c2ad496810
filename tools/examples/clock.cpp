// A clock of one's own. Live traffic: one reading for a whole batch of packets. Recorded traffic:
// the times that were recorded, so that an old capture is translated as it would have been then.
#include <swnat/engine.h>

#include <array>
#include <chrono>
#include <iostream>
#include <memory>

#include "example.h"

using namespace example;
using swnat::Ipv4Address;
using namespace std::chrono_literals;

namespace {

constexpr swnat::NamespaceId blue = 1;
constexpr Endpoint host{Ipv4Address::of(10, 0, 0, 2), 5000};
constexpr Endpoint server{Ipv4Address::of(198, 51, 100, 7), 53};

swnat::Engine make_engine() {
  auto policy = std::make_shared<swnat::Policy>();
  policy->external.v4 = {Ipv4Address::of(203, 0, 113, 1)};
  policy->namespaces = {{.first = blue, .last = blue}};
  return swnat::Engine({.max_sessions = 1000, .secret = random_secret()}, policy);
}

void translate_live() {
  swnat::Engine engine = make_engine();
  std::array<Bytes, 3> received{datagram(host, server), tcp_syn(host, server),
                                ping(host, server.address)};
  std::array<swnat::Packet, 3> batch;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    batch[i].bytes = received[i];
    batch[i].namespace_id = blue;
    batch[i].direction = swnat::Direction::outbound;
  }
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  engine.translate(batch, std::chrono::duration_cast<swnat::Time>(time));
  for (const swnat::Packet& packet : batch) std::cout << "live: " << text(packet.reason) << '\n';
}

struct Recorded {
  swnat::Time at;
  bool is_outbound;
};

void translate_recorded() {
  swnat::Engine engine = make_engine();
  Endpoint external;
  for (const Recorded& packet : {Recorded{0s, true}, {10s, false}, {309s, false}, {610s, false}}) {
    swnat::Reason reason;
    if (packet.is_outbound) {
      Bytes bytes = datagram(host, server);
      reason = engine.outbound(bytes, blue, packet.at).reason;
      external = source_of(bytes);
    } else {
      Bytes bytes = datagram(server, external);
      reason = engine.inbound(bytes, packet.at).reason;
    }
    std::cout << "recorded at " << packet.at / 1s << " s: " << text(reason) << '\n';
  }
}

}  // namespace

int main() {
  translate_live();
  translate_recorded();
}
