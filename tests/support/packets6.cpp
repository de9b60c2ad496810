#include "tests/support/packets6.h"

#include <algorithm>

#include "tests/support/put.h"

namespace swnat::test {
namespace {

constexpr std::uint8_t icmpv6_protocol = 58;
constexpr std::uint8_t tcp_protocol = 6;
constexpr std::uint8_t udp_protocol = 17;
constexpr std::uint8_t type_echo_request = 128;
constexpr std::uint8_t type_echo_reply = 129;

Host6 address_at(View packet, std::size_t offset) {
  std::array<std::uint8_t, 16> octets;
  std::copy_n(packet.begin() + static_cast<std::ptrdiff_t>(offset), 16, octets.begin());
  return Host6::of(octets);
}

void put_address(Bytes& bytes, Host6 address) {
  for (const std::uint8_t octet : address.octets()) put8(bytes, octet);
}

// One option that receivers skip: PadN.
Extension padded(std::uint8_t kind, std::size_t size) {
  Bytes rest{static_cast<std::uint8_t>(size / 8 - 1), 1, static_cast<std::uint8_t>(size - 4)};
  rest.resize(size - 1, 0);
  return {kind, rest};
}

}  // namespace

Host6 host6(const std::array<std::uint16_t, 8>& groups) {
  std::array<std::uint8_t, 16> octets;
  for (std::size_t i = 0; i < 8; ++i) {
    octets[2 * i] = static_cast<std::uint8_t>(groups[i] >> 8);
    octets[2 * i + 1] = static_cast<std::uint8_t>(groups[i]);
  }
  return Host6::of(octets);
}

Extension hop_by_hop(std::size_t size) {
  return padded(0, size);
}
Extension destination_options(std::size_t size) {
  return padded(60, size);
}
Extension routing(std::uint8_t segments_left) {
  Bytes rest{2, 4, segments_left};
  rest.resize(23, 0);
  return {43, rest};
}
Extension fragment_header(std::uint16_t offset_and_more, std::uint32_t identification) {
  Bytes rest{0};
  put16(rest, offset_and_more);
  put32(rest, identification);
  return {44, rest};
}
Extension atomic_fragment(std::uint32_t identification) {
  return fragment_header(0, identification);
}

Bytes ip6_packet(Host6 source, Host6 destination, std::uint8_t protocol, const Bytes& transport,
                 const Extensions& extensions) {
  std::size_t size = transport.size();
  for (const Extension& extension : extensions) size += 1 + extension.rest.size();
  Bytes packet;
  put32(packet, 0x6001'2345);
  put16(packet, static_cast<std::uint32_t>(size));
  put8(packet, extensions.empty() ? protocol : extensions.front().kind);
  put8(packet, 64);
  put_address(packet, source);
  put_address(packet, destination);
  for (std::size_t i = 0; i < extensions.size(); ++i) {
    put8(packet, i + 1 < extensions.size() ? extensions[i + 1].kind : protocol);
    append(packet, extensions[i].rest);
  }
  append(packet, transport);
  return packet;
}

Bytes udp(Peer6 from, Peer6 to, const Bytes& payload, const Extensions& extensions) {
  const Bytes transport = udp_datagram(from.port, to.port, payload);
  return transport_summed(
      ip6_packet(from.address, to.address, udp_protocol, transport, extensions));
}

Bytes tcp(Peer6 from, Peer6 to, const TcpFields& fields, const Bytes& payload,
          const Extensions& extensions) {
  const Bytes transport = tcp_segment(from.port, to.port, fields, payload);
  return transport_summed(
      ip6_packet(from.address, to.address, tcp_protocol, transport, extensions));
}

Bytes icmp(Host6 from, Host6 to, std::uint8_t type, std::uint8_t code, std::uint32_t rest,
           const Bytes& payload, const Extensions& extensions) {
  const Bytes transport = icmp_message(type, code, rest, payload);
  return transport_summed(ip6_packet(from, to, icmpv6_protocol, transport, extensions));
}

Bytes echo_request(Peer6 from, Host6 to, const Bytes& payload, const Extensions& extensions) {
  const std::uint32_t rest = std::uint32_t{from.port} << 16 | 1;
  return icmp(from.address, to, type_echo_request, 0, rest, payload, extensions);
}

Bytes echo_reply(Host6 from, Peer6 to, const Bytes& payload, const Extensions& extensions) {
  const std::uint32_t rest = std::uint32_t{to.port} << 16 | 1;
  return icmp(from, to.address, type_echo_reply, 0, rest, payload, extensions);
}

Bytes error_about(View packet, Host6 from, Host6 to, IcmpKind kind, std::size_t size,
                  std::uint32_t rest) {
  const View quoted = packet.first(std::min(size, packet.size()));
  return icmp(from, to, kind.type, kind.code, rest, Bytes(quoted.begin(), quoted.end()));
}

Bytes opening(std::uint8_t protocol, Peer6 from, Peer6 to) {
  if (protocol == tcp_protocol) return tcp(from, to);
  if (protocol == udp_protocol) return udp(from, to, payload_of(20));
  return echo_request(from, to.address, payload_of(56));
}

Bytes answer(std::uint8_t protocol, Peer6 from, Peer6 to) {
  if (protocol == tcp_protocol) {
    return tcp(from, to, {.flags = 0x12, .sequence = 5000, .acknowledgment = 1001});
  }
  if (protocol == udp_protocol) return udp(from, to, payload_of(30, 2));
  return echo_reply(from.address, to, payload_of(56));
}

Peer6 source6_of(View packet) {
  return {address_at(packet, 8), source_port_of(packet)};
}
Peer6 destination6_of(View packet) {
  return {address_at(packet, 24), destination_port_of(packet)};
}

}  // namespace swnat::test
