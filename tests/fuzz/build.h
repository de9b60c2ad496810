// Packets of either family as honest hosts make them, for targets to begin from.
#pragma once

#include "tests/fuzz/anatomy.h"

namespace swnat::fuzz {

struct Headers {
  std::uint8_t protocol = number::udp;
  std::uint16_t identification = 0;    // IPv4
  bool dont_fragment = true;           // IPv4
  Bytes options = {};                  // IPv4, whole words
  std::vector<Bytes> extensions = {};  // IPv6: whole headers; each one's first byte is written
  std::vector<std::uint8_t> extension_numbers = {};  // of each
};

// With right sums (`mend`). Both addresses are of one family.
Bytes packet_of(const IpAddress& source, const IpAddress& destination, const Bytes& transport,
                const Headers& headers);

// Transport headers, their sums left 0.
Bytes udp_of(std::uint16_t from, std::uint16_t to, const Bytes& payload);
struct Tcp {
  std::uint8_t flags = 0x02;
  std::uint32_t sequence = 1000;
  std::uint32_t acknowledgment = 0;
  std::uint16_t window = 0x1000;
  Bytes options = {};  // whole words
};
Bytes tcp_of(std::uint16_t from, std::uint16_t to, const Tcp& tcp, const Bytes& payload);
Bytes icmp_of(std::uint8_t type, std::uint8_t code, std::uint16_t identifier, const Bytes& payload);

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
