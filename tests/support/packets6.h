// IPv6 packets as hosts send them; packets.h reads and sums them too.
#pragma once

#include <array>

#include "tests/support/packets.h"

namespace swnat::test {

using Host6 = Ipv6Address;
using Peer6 = Endpoint<Ipv6Address>;

// An address by its eight groups.
Host6 host6(const std::array<std::uint16_t, 8>& groups);

// An extension header: what follows its first byte, the next header's number.
struct Extension {
  std::uint8_t kind;
  Bytes rest;
};
using Extensions = std::vector<Extension>;

Extension hop_by_hop(std::size_t size = 8);  // whole header, a multiple of 8
Extension destination_options(std::size_t size = 8);
Extension routing(std::uint8_t segments_left);
// The offset is in bytes, its lowest bit "more fragments".
Extension fragment_header(std::uint16_t offset_and_more, std::uint32_t identification);
Extension atomic_fragment(std::uint32_t identification);

// The packet with right lengths, its transport as it is.
Bytes ip6_packet(Host6 source, Host6 destination, std::uint8_t protocol, const Bytes& transport,
                 const Extensions& extensions = {});

Bytes udp(Peer6 from, Peer6 to, const Bytes& payload = {}, const Extensions& extensions = {});
Bytes tcp(Peer6 from, Peer6 to, const TcpFields& fields = {}, const Bytes& payload = {},
          const Extensions& extensions = {});
Bytes icmp(Host6 from, Host6 to, std::uint8_t type, std::uint8_t code, std::uint32_t rest,
           const Bytes& payload = {}, const Extensions& extensions = {});
Bytes echo_request(Peer6 from, Host6 to, const Bytes& payload = {},
                   const Extensions& extensions = {});
Bytes echo_reply(Host6 from, Peer6 to, const Bytes& payload = {},
                 const Extensions& extensions = {});

// An ICMPv6 error that quotes the first `size` bytes of the packet. `rest` is an MTU or a pointer.
Bytes error_about(View packet, Host6 from, Host6 to, IcmpKind kind = {1, 4},
                  std::size_t size = 1232, std::uint32_t rest = 0);

// As for IPv4; protocol 1 means ICMPv6.
Bytes opening(std::uint8_t protocol, Peer6 from, Peer6 to);
Bytes answer(std::uint8_t protocol, Peer6 from, Peer6 to);

Peer6 source6_of(View packet);
Peer6 destination6_of(View packet);

}  // namespace swnat::test
