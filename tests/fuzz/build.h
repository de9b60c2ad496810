// Packets of either family as honest hosts make them, for targets to begin from.
#pragma once

#include "tests/fuzz/anatomy.h"
#include "tests/support/packets6.h"

namespace swnat::fuzz {

struct Headers {
  test::IpFields ip = {.id = 0};     // IPv6 has its protocol alone
  test::Extensions extensions = {};  // IPv6
};

// With right sums (`mend`). Both addresses are of one family.
Bytes packet_of(const IpAddress& source, const IpAddress& destination, const Bytes& transport,
                const Headers& headers);

// A transport with ports or an echo, its sum left 0, or else the payload alone.
Bytes transport_of(std::uint8_t protocol, std::uint16_t from, std::uint16_t to, bool is_answer,
                   const Bytes& payload, const test::TcpFields& tcp = {});

// A packet of a session: with ports, an echo request or reply, or neither. TCP: a SYN if `opens`,
// else an ACK.
Bytes plain_packet(std::uint8_t protocol, const IpEndpoint& from, const IpEndpoint& to,
                   bool is_answer, bool opens = false);

// Sets the IPv4 header's sum and the transport's, where the packet has them; a UDP sum even if it
// was none.
void mend(Bytes& packet);

// The datagram in pieces of `size` bytes, a multiple of 8, in order; itself if it fits into one. An
// IPv6 fragment header comes right behind the IPv6 header.
std::vector<Bytes> fragments_of(const Bytes& datagram, std::size_t size,
                                std::uint32_t identification);

}  // namespace swnat::fuzz
