#include "tests/support/packets.h"

#include <algorithm>
#include <utility>

#include "tests/support/put.h"

namespace swnat::test {
namespace {

constexpr std::uint8_t icmp_protocol = 1;
constexpr std::uint8_t tcp_protocol = 6;
constexpr std::uint8_t udp_protocol = 17;
constexpr std::uint8_t type_echo_reply = 0;
constexpr std::uint8_t type_echo_request = 8;
constexpr std::uint8_t icmpv6_protocol = 58;
constexpr std::uint8_t icmpv6_echo_request = 128;
constexpr std::uint8_t icmpv6_echo_reply = 129;
constexpr std::size_t icmp_header_size = 8;

std::uint32_t added(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t sum = a + b;
  return (sum & 0xffff) + (sum >> 16);
}

// The one's-complement number without its two zeros.
std::uint16_t one_zero(std::uint32_t number) {
  return static_cast<std::uint16_t>(number == 0xffff ? 0 : number);
}

bool is_v6(View packet) {
  return packet[0] >> 4 == 6;
}

// What stands behind the extension headers of an IPv6 packet.
struct UpperLayer {
  std::uint8_t protocol;
  std::size_t offset;
};
UpperLayer upper_layer_of(View packet) {
  UpperLayer layer{packet[6], 40};
  for (;;) {
    const std::uint8_t kind = layer.protocol;
    const bool has_length = kind == 0 || kind == 43 || kind == 60;
    if (!has_length && kind != 44) return layer;
    layer.protocol = packet[layer.offset];
    layer.offset += has_length ? std::size_t{8} * (1 + packet[layer.offset + 1]) : 8;
  }
}

Host address_at(View packet, std::size_t offset) {
  return Host::of(packet[offset], packet[offset + 1], packet[offset + 2], packet[offset + 3]);
}

View transport_of(View packet) {
  const std::size_t offset = transport_offset(packet);
  return packet.subspan(offset, total_length(packet) - offset);
}

// The sum of the transport with its checksum field, and of its pseudo-header.
std::uint16_t whole_sum(View packet) {
  const std::uint32_t pseudo = protocol_of(packet) == icmp_protocol ? 0 : pseudo_header_sum(packet);
  return static_cast<std::uint16_t>(added(pseudo, naive_sum(transport_of(packet))));
}

IpFields of_protocol(IpFields ip, std::uint8_t protocol) {
  ip.protocol = protocol;
  return ip;
}

}  // namespace

Bytes udp_datagram(std::uint16_t from, std::uint16_t to, const Bytes& payload) {
  Bytes transport;
  put16(transport, from);
  put16(transport, to);
  put16(transport, static_cast<std::uint32_t>(8 + payload.size()));
  put16(transport, 0);
  append(transport, payload);
  return transport;
}

Bytes tcp_segment(std::uint16_t from, std::uint16_t to, const TcpFields& fields,
                  const Bytes& payload) {
  const Bytes options = whole_words(fields.options);
  Bytes transport;
  put16(transport, from);
  put16(transport, to);
  put32(transport, fields.sequence);
  put32(transport, fields.acknowledgment);
  put8(transport, static_cast<std::uint32_t>((20 + options.size()) / 4 << 4) | fields.reserved);
  put8(transport, fields.flags);
  put16(transport, fields.window);
  put16(transport, 0);
  put16(transport, 0);
  append(transport, options);
  append(transport, payload);
  return transport;
}

Bytes icmp_message(std::uint8_t type, std::uint8_t code, std::uint32_t rest, const Bytes& payload) {
  Bytes transport;
  put8(transport, type);
  put8(transport, code);
  put16(transport, 0);
  put32(transport, rest);
  append(transport, payload);
  return transport;
}

Bytes ip_packet(Host source, Host destination, const Bytes& transport, const IpFields& ip) {
  const Bytes options = whole_words(ip.options);
  Bytes packet;
  put8(packet, 0x40 | static_cast<std::uint32_t>((20 + options.size()) / 4));
  put8(packet, 0);
  put16(packet, static_cast<std::uint32_t>(20 + options.size() + transport.size()));
  put16(packet, ip.id);
  put16(packet, ip.fragment);
  put8(packet, ip.ttl);
  put8(packet, ip.protocol);
  put16(packet, 0);
  put32(packet, source.host());
  put32(packet, destination.host());
  append(packet, options);
  append(packet, transport);
  return header_summed(std::move(packet));
}

Bytes udp(Peer from, Peer to, const Bytes& payload, const IpFields& ip) {
  const Bytes transport = udp_datagram(from.port, to.port, payload);
  return transport_summed(
      ip_packet(from.address, to.address, transport, of_protocol(ip, udp_protocol)));
}

Bytes tcp(Peer from, Peer to, const TcpFields& fields, const Bytes& payload, const IpFields& ip) {
  const Bytes transport = tcp_segment(from.port, to.port, fields, payload);
  return transport_summed(
      ip_packet(from.address, to.address, transport, of_protocol(ip, tcp_protocol)));
}

Bytes icmp(Host from, Host to, std::uint8_t type, std::uint8_t code, std::uint16_t identifier,
           const Bytes& payload, const IpFields& ip) {
  const Bytes transport = icmp_message(type, code, std::uint32_t{identifier} << 16 | 1, payload);
  return transport_summed(ip_packet(from, to, transport, of_protocol(ip, icmp_protocol)));
}

Bytes echo_request(Peer from, Host to, const Bytes& payload, const IpFields& ip) {
  return icmp(from.address, to, type_echo_request, 0, from.port, payload, ip);
}

Bytes echo_reply(Host from, Peer to, const Bytes& payload, const IpFields& ip) {
  return icmp(from, to.address, type_echo_reply, 0, to.port, payload, ip);
}

Bytes error_about(View packet, Host from, Host to, IcmpKind kind, std::size_t size) {
  const View quoted = packet.first(std::min(size, packet.size()));
  return icmp(from, to, kind.type, kind.code, 0, Bytes(quoted.begin(), quoted.end()));
}

Bytes opening(std::uint8_t protocol, Peer from, Peer to) {
  if (protocol == tcp_protocol) return tcp(from, to);
  if (protocol == udp_protocol) return udp(from, to, payload_of(20));
  return echo_request(from, to.address, payload_of(56));
}

Bytes answer(std::uint8_t protocol, Peer from, Peer to) {
  if (protocol == tcp_protocol) {
    return tcp(from, to, {.flags = 0x12, .sequence = 5000, .acknowledgment = 1001});
  }
  if (protocol == udp_protocol) return udp(from, to, payload_of(30, 2));
  return echo_reply(from.address, to, payload_of(56));
}

Bytes payload_of(std::size_t size, std::uint32_t seed) {
  Bytes payload(size);
  std::uint32_t state = seed * 2'654'435'761U + 12345;
  for (std::uint8_t& byte : payload) {
    state = state * 1'664'525U + 1'013'904'223U;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return payload;
}

Bytes text(std::string_view characters) {
  return Bytes(characters.begin(), characters.end());
}

std::uint16_t word_at(View packet, std::size_t offset) {
  return static_cast<std::uint16_t>(packet[offset] << 8 | packet[offset + 1]);
}

void set_word(Bytes& packet, std::size_t offset, std::uint32_t word) {
  packet[offset] = static_cast<std::uint8_t>(word >> 8);
  packet[offset + 1] = static_cast<std::uint8_t>(word);
}

std::uint8_t protocol_of(View packet) {
  return is_v6(packet) ? upper_layer_of(packet).protocol : packet[9];
}
std::size_t transport_offset(View packet) {
  return is_v6(packet) ? upper_layer_of(packet).offset : std::size_t{4} * (packet[0] & 0xf);
}
std::size_t total_length(View packet) {
  return is_v6(packet) ? std::size_t{40} + word_at(packet, 4) : word_at(packet, 2);
}

std::uint16_t source_port_of(View packet) {
  const std::size_t at = transport_offset(packet);
  if (protocol_of(packet) != (is_v6(packet) ? icmpv6_protocol : icmp_protocol)) {
    return word_at(packet, at);
  }
  const bool has_one = packet[at] == (is_v6(packet) ? icmpv6_echo_request : type_echo_request);
  return has_one ? word_at(packet, at + 4) : std::uint16_t{0};
}

std::uint16_t destination_port_of(View packet) {
  const std::size_t at = transport_offset(packet);
  if (protocol_of(packet) != (is_v6(packet) ? icmpv6_protocol : icmp_protocol)) {
    return word_at(packet, at + 2);
  }
  const bool has_one = packet[at] == (is_v6(packet) ? icmpv6_echo_reply : type_echo_reply);
  return has_one ? word_at(packet, at + 4) : std::uint16_t{0};
}

Peer source_of(View packet) {
  return {address_at(packet, 12), source_port_of(packet)};
}
Peer destination_of(View packet) {
  return {address_at(packet, 16), destination_port_of(packet)};
}

std::size_t transport_checksum_offset(View packet) {
  const std::size_t at = transport_offset(packet);
  if (protocol_of(packet) == tcp_protocol) return at + 16;
  if (protocol_of(packet) == udp_protocol) return at + 6;
  return at + 2;
}

std::uint16_t naive_sum(View bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum = added(sum, i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : std::uint32_t{bytes[i]});
  }
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t pseudo_header_sum(View packet) {
  const auto size = static_cast<std::uint32_t>(total_length(packet) - transport_offset(packet));
  const std::uint32_t addresses =
      naive_sum(is_v6(packet) ? packet.subspan(8, 32) : packet.subspan(12, 8));
  return static_cast<std::uint16_t>(added(added(addresses, protocol_of(packet)), size));
}

std::uint16_t right_header_checksum(View packet) {
  Bytes header(packet.begin(), packet.begin() + static_cast<int>(transport_offset(packet)));
  set_word(header, header_checksum_offset, 0);
  return static_cast<std::uint16_t>(~naive_sum(header));
}

std::uint16_t right_transport_checksum(View packet) {
  Bytes copy(packet.begin(), packet.end());
  set_word(copy, transport_checksum_offset(packet), 0);
  const auto checksum = static_cast<std::uint16_t>(~whole_sum(copy));
  const bool is_udp = protocol_of(packet) == udp_protocol;
  return is_udp && checksum == 0 ? std::uint16_t{0xffff} : checksum;
}

bool header_checksum_is_right(View packet) {
  return is_v6(packet) || word_at(packet, header_checksum_offset) == right_header_checksum(packet);
}

bool transport_checksum_is_right(View packet) {
  return word_at(packet, transport_checksum_offset(packet)) == right_transport_checksum(packet);
}

bool sums_right(View packet) {
  return header_checksum_is_right(packet) && transport_checksum_is_right(packet);
}

std::uint16_t header_damage(View packet) {
  if (is_v6(packet)) return 0;
  return one_zero(naive_sum(packet.first(transport_offset(packet))));
}

std::uint16_t transport_damage(View packet) {
  return one_zero(whole_sum(packet));
}

Bytes with_word(Bytes packet, std::size_t offset, std::uint32_t word) {
  set_word(packet, offset, word);
  return packet;
}

Bytes header_summed(Bytes packet) {
  set_word(packet, header_checksum_offset, right_header_checksum(packet));
  return packet;
}

Bytes transport_summed(Bytes packet) {
  set_word(packet, transport_checksum_offset(packet), right_transport_checksum(packet));
  return packet;
}

Bytes pseudo_summed(Bytes packet) {
  set_word(packet, transport_checksum_offset(packet), pseudo_header_sum(packet));
  return packet;
}

Bytes unsummed(Bytes packet) {
  set_word(packet, transport_checksum_offset(packet), 0);
  return packet;
}

Bytes quoted_in(View error) {
  const View quoted = error.subspan(transport_offset(error) + icmp_header_size);
  return Bytes(quoted.begin(), quoted.end());
}

bool begins_with(const Bytes& whole, const Bytes& start) {
  return whole.size() >= start.size() && std::equal(start.begin(), start.end(), whole.begin());
}

}  // namespace swnat::test
