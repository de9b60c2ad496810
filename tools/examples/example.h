// What the examples share: packets to send through the engine, and text for people. A program of
// your own has its packets from a tunnel, a TUN device or a file instead.
#pragma once

#include <swnat/engine.h>

#include <cstdint>
#include <string>
#include <vector>

namespace example {

using Bytes = std::vector<std::uint8_t>;
using Endpoint = swnat::Endpoint<swnat::Ipv4Address>;

// IP protocol numbers.
inline constexpr std::uint8_t icmp = 1;
inline constexpr std::uint8_t tcp = 6;
inline constexpr std::uint8_t udp = 17;

// IPv4 packets with right checksums. A ping's identifier is the port of its sender.
Bytes datagram(Endpoint from, Endpoint to, std::string_view payload = "");
Bytes tcp_syn(Endpoint from, Endpoint to);
Bytes ping(Endpoint from, swnat::Ipv4Address to);

Endpoint source_of(const Bytes& packet);
Endpoint destination_of(const Bytes& packet);

// "not the NAT's: nothing is mapped to this external endpoint"
std::string text(swnat::Reason reason);

// From the system's source of randomness. A tenant that knows it can guess ports.
std::array<std::uint64_t, 4> random_secret();

}  // namespace example
