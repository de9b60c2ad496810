#include "tests/fuzz/build.h"

#include <algorithm>

#include "tests/support/packets.h"

namespace swnat::fuzz {
namespace {

void put(Bytes& bytes, std::uint64_t value, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}
void append(Bytes& bytes, View more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}
void put_address(Bytes& bytes, const IpAddress& address) {
  if (const auto* v4 = std::get_if<Ipv4Address>(&address)) {
    put(bytes, v4->host(), 4);
  } else {
    append(bytes, std::get<Ipv6Address>(address).octets());
  }
}

void mend_header(Bytes& packet, const Anatomy& anatomy) {
  if (anatomy.version != 4) return;
  set_word(packet, 10, 0);
  set_word(packet, 10, ~test::naive_sum(View(packet).first(anatomy.transport)) & 0xffffU);
}

Bytes ipv4_packet(const IpAddress& source, const IpAddress& destination, const Bytes& transport,
                  const Headers& headers) {
  Bytes packet;
  put(packet, 0x40 + (20 + headers.options.size()) / 4, 1);
  put(packet, 0, 1);
  put(packet, 20 + headers.options.size() + transport.size(), 2);
  put(packet, headers.identification, 2);
  put(packet, headers.dont_fragment ? 0x4000 : 0, 2);
  put(packet, 64, 1);
  put(packet, headers.protocol, 1);
  put(packet, 0, 2);
  put_address(packet, source);
  put_address(packet, destination);
  append(packet, headers.options);
  append(packet, transport);
  return packet;
}

Bytes ipv6_packet(const IpAddress& source, const IpAddress& destination, const Bytes& transport,
                  const Headers& headers) {
  Bytes behind;
  for (std::size_t i = 0; i < headers.extensions.size(); ++i) {
    const std::size_t at = behind.size();
    append(behind, headers.extensions[i]);
    const bool is_last = i + 1 == headers.extensions.size();
    behind[at] = is_last ? headers.protocol : headers.extension_numbers[i + 1];
  }
  append(behind, transport);
  Bytes packet{0x60, 0x12, 0x34, 0x56};
  put(packet, behind.size(), 2);
  put(packet, headers.extensions.empty() ? headers.protocol : headers.extension_numbers[0], 1);
  put(packet, 64, 1);
  put_address(packet, source);
  put_address(packet, destination);
  append(packet, behind);
  return packet;
}

}  // namespace

Bytes packet_of(const IpAddress& source, const IpAddress& destination, const Bytes& transport,
                const Headers& headers) {
  Bytes packet = std::holds_alternative<Ipv4Address>(source)
                     ? ipv4_packet(source, destination, transport, headers)
                     : ipv6_packet(source, destination, transport, headers);
  mend(packet);
  return packet;
}

Bytes udp_of(std::uint16_t from, std::uint16_t to, const Bytes& payload) {
  Bytes transport;
  put(transport, from, 2);
  put(transport, to, 2);
  put(transport, 8 + payload.size(), 2);
  put(transport, 0, 2);
  append(transport, payload);
  return transport;
}

Bytes tcp_of(std::uint16_t from, std::uint16_t to, const Tcp& tcp, const Bytes& payload) {
  Bytes transport;
  put(transport, from, 2);
  put(transport, to, 2);
  put(transport, tcp.sequence, 4);
  put(transport, tcp.acknowledgment, 4);
  put(transport, (20 + tcp.options.size()) / 4 << 4, 1);
  put(transport, tcp.flags, 1);
  put(transport, tcp.window, 2);
  put(transport, 0, 4);
  append(transport, tcp.options);
  append(transport, payload);
  return transport;
}

Bytes icmp_of(std::uint8_t type, std::uint8_t code, std::uint16_t identifier,
              const Bytes& payload) {
  Bytes transport{type, code, 0, 0};
  put(transport, identifier, 2);
  put(transport, 1, 2);
  append(transport, payload);
  return transport;
}

Bytes plain_packet(std::uint8_t protocol, const IpEndpoint& from, const IpEndpoint& to,
                   bool is_answer, bool opens) {
  const Bytes payload{1, 2, 3, 4, 5};
  const std::uint16_t identifier = is_answer ? to.port : from.port;
  Bytes transport = payload;
  if (protocol == number::tcp) {
    transport =
        tcp_of(from.port, to.port, {.flags = opens ? std::uint8_t{2} : std::uint8_t{16}}, {});
  } else if (protocol == number::udp) {
    transport = udp_of(from.port, to.port, payload);
  } else if (protocol == number::icmp) {
    transport = icmp_of(is_answer ? 0 : 8, 0, identifier, payload);
  } else if (protocol == number::icmpv6) {
    transport = icmp_of(is_answer ? 129 : 128, 0, identifier, payload);
  }
  return packet_of(from.address, to.address, transport, {.protocol = protocol});
}

void mend(Bytes& packet) {
  const auto anatomy = read(packet);
  if (!anatomy) return;
  mend_header(packet, *anatomy);
  const auto at = transport_sum_at(packet, *anatomy);
  if (!at || anatomy->is_fragment()) return;
  set_word(packet, *at, 0xffff);  // the other zero, which is no missing sum to transport_damage
  const std::uint32_t sum = *transport_damage(packet, *anatomy);
  const std::uint32_t field = ~sum & 0xffffU;
  const bool is_udp = anatomy->protocol == number::udp;
  set_word(packet, *at, is_udp && field == 0 ? 0xffff : field);
}

std::vector<Bytes> fragments_of(const Bytes& datagram, std::size_t size,
                                std::uint32_t identification) {
  const auto anatomy = read(datagram);
  const bool is_v4 = anatomy->version == 4;
  const std::size_t header_size = is_v4 ? anatomy->transport : 40;
  const std::size_t total = anatomy->length - header_size;
  if (total <= size) return {datagram};
  std::vector<Bytes> pieces;
  for (std::size_t offset = 0; offset < total; offset += size) {
    const std::size_t count = std::min(size, total - offset);
    const std::size_t more = offset + count < total ? 1 : 0;
    Bytes piece(datagram.begin(), datagram.begin() + static_cast<std::ptrdiff_t>(header_size));
    if (is_v4) {
      set_word(piece, 2, static_cast<std::uint32_t>(header_size + count));
      set_word(piece, 4, identification & 0xffff);
      set_word(piece, 6, static_cast<std::uint32_t>(more << 13 | offset / 8));
    } else {
      set_word(piece, 4, static_cast<std::uint32_t>(8 + count));
      put(piece, std::uint64_t{piece[6]} << 8, 2);
      piece[6] = number::fragment;
      put(piece, offset | more, 2);
      put(piece, identification, 4);
    }
    append(piece, View(datagram).subspan(header_size + offset, count));
    if (is_v4) mend_header(piece, *read(piece));
    pieces.push_back(piece);
  }
  return pieces;
}

}  // namespace swnat::fuzz
