#include "tests/fuzz/build.h"

#include "tests/support/fragments.h"

namespace swnat::fuzz {
namespace {

// The corpus was found with it.
constexpr std::uint16_t window = 0x1000;

void mend_header(Bytes& packet, const Anatomy& anatomy) {
  if (anatomy.version != 4) return;
  set_word(packet, 10, 0);
  set_word(packet, 10, ~test::naive_sum(View(packet).first(anatomy.transport)) & 0xffffU);
}

Bytes echo(std::uint8_t type, std::uint16_t identifier, const Bytes& payload) {
  return test::icmp_message(type, 0, std::uint32_t{identifier} << 16 | 1, payload);
}

}  // namespace

Bytes packet_of(const IpAddress& source, const IpAddress& destination, const Bytes& transport,
                const Headers& headers) {
  const auto* source4 = std::get_if<Ipv4Address>(&source);
  Bytes packet =
      source4 != nullptr
          ? test::ip_packet(*source4, std::get<Ipv4Address>(destination), transport, headers.ip)
          : test::ip6_packet(std::get<Ipv6Address>(source), std::get<Ipv6Address>(destination),
                             headers.ip.protocol, transport, headers.extensions);
  mend(packet);
  return packet;
}

Bytes transport_of(std::uint8_t protocol, std::uint16_t from, std::uint16_t to, bool is_answer,
                   const Bytes& payload, const test::TcpFields& tcp) {
  if (protocol == number::tcp) {
    test::TcpFields fields = tcp;
    fields.window = window;
    return test::tcp_segment(from, to, fields, payload);
  }
  if (protocol == number::udp) return test::udp_datagram(from, to, payload);
  const std::uint16_t identifier = is_answer ? to : from;
  if (protocol == number::icmp) return echo(is_answer ? 0 : 8, identifier, payload);
  if (protocol == number::icmpv6) return echo(is_answer ? 129 : 128, identifier, payload);
  return payload;
}

Bytes plain_packet(std::uint8_t protocol, const IpEndpoint& from, const IpEndpoint& to,
                   bool is_answer, bool opens) {
  const Bytes payload = protocol == number::tcp ? Bytes{} : Bytes{1, 2, 3, 4, 5};
  const test::TcpFields tcp{.flags = opens ? std::uint8_t{2} : std::uint8_t{16}};
  Headers headers;
  headers.ip.protocol = protocol;
  return packet_of(from.address, to.address,
                   transport_of(protocol, from.port, to.port, is_answer, payload, tcp), headers);
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
  const std::size_t headers = is_v4 ? anatomy->transport : 40;
  if (anatomy->length - headers <= size) return {datagram};
  const Bytes numbered = is_v4 ? test::with_word(datagram, 4, identification) : datagram;
  return test::fragments_behind(numbered, headers, size, identification);
}

}  // namespace swnat::fuzz
