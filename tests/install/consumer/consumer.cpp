// Sends an echo request through the engine, and its answer back.
#include <swnat/engine.h>

#include <cstdio>
#include <memory>

int main() {
  auto policy = std::make_shared<swnat::Policy>();
  policy->external.v4 = {swnat::Ipv4Address::of(203, 0, 113, 1)};
  policy->namespaces = {{.first = 7, .last = 7}};
  swnat::Engine engine({.max_sessions = 100, .secret = {1, 2, 3, 4}}, policy);

  std::uint8_t request[] = {0x45, 0, 0,   28, 0,   0, 0, 0, 64, 1, 0,    0,    10, 0,
                            0,    2, 198, 51, 100, 7, 8, 0, 0,  0, 0x13, 0x88, 0,  1};
  const swnat::Reason sent = engine.outbound(request, 7, swnat::Time(0)).reason;
  std::printf("%s, from %d.%d.%d.%d\n", swnat::info(sent).name.data(), request[12], request[13],
              request[14], request[15]);

  std::uint8_t reply[] = {0x45, 0, 0,   28, 0,   0, 0, 0, 64, 1, 0,           0,           198, 51,
                          100,  7, 203, 0,  113, 1, 0, 0, 0,  0, request[24], request[25], 0,   1};
  const swnat::Engine::Outcome received = engine.inbound(reply, swnat::Time(0));
  std::printf("%s, to %d.%d.%d.%d of %u\n", swnat::info(received.reason).name.data(), reply[16],
              reply[17], reply[18], reply[19], received.namespace_id);
}
