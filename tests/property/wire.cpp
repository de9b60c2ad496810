#include "tests/property/wire.h"

#include <algorithm>
#include <array>

namespace swnat::property {
namespace {

constexpr std::uint8_t icmpv6_protocol = 58;
constexpr std::uint8_t destination_options = 60;
constexpr std::uint8_t fragment_header = 44;
constexpr std::size_t ipv6_header_bytes = 40;
constexpr std::size_t fragment_header_bytes = 8;

std::uint16_t word_at(View bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
std::uint32_t long_at(View bytes, std::size_t at) {
  return std::uint32_t{word_at(bytes, at)} << 16 | word_at(bytes, at + 2);
}
void set_word(Bytes& bytes, std::size_t at, std::uint32_t word) {
  bytes[at] = static_cast<std::uint8_t>(word >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(word);
}
void put(Bytes& bytes, std::uint32_t value, int octets) {
  for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

// One's complement arithmetic.
std::uint16_t plus(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t sum = a + b;
  return static_cast<std::uint16_t>((sum & 0xffff) + (sum >> 16));
}
std::uint16_t minus(std::uint16_t a, std::uint16_t b) {
  return plus(a, 0xffffu - b);
}
std::uint16_t sum_of(View bytes) {
  std::uint16_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum = plus(sum, i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : std::uint32_t{bytes[i]});
  }
  return sum;
}

Bytes octets_of(const IpAddress& address) {
  if (const auto* v6 = std::get_if<Ipv6Address>(&address)) {
    const auto octets = v6->octets();
    return {octets.begin(), octets.end()};
  }
  Bytes octets;
  put(octets, std::get<Ipv4Address>(address).host(), 4);
  return octets;
}

// Where things are in the IP packet that begins at `ip`.
struct Layout {
  std::size_t ip;
  bool v6;
  std::uint8_t protocol;  // as on the wire
  std::size_t transport;
  std::size_t end;  // of the transport, as far as it is there

  std::size_t addresses() const { return ip + (v6 ? 8u : 12u); }
  std::size_t address_size() const { return v6 ? 16 : 4; }
  bool is_icmp() const { return protocol == (v6 ? icmpv6_protocol : ip::icmp); }
  std::size_t sum() const {
    return transport + (protocol == ip::tcp ? 16u : protocol == ip::udp ? 6u : 2u);
  }
  bool has_sum() const {
    return (protocol == ip::tcp || protocol == ip::udp || is_icmp()) && end >= sum() + 2;
  }
  bool sums_addresses() const { return v6 || !is_icmp(); }
};

Layout layout_of(View bytes, std::size_t ip) {
  if (bytes[ip] >> 4 == 6) {
    const std::size_t end = std::min(ip + 40 + word_at(bytes, ip + 4), bytes.size());
    std::uint8_t next = bytes[ip + 6];
    std::size_t at = ip + ipv6_header_bytes;
    bool is_later = false;
    while (!is_later && (next == fragment_header || next == destination_options)) {
      is_later = next == fragment_header && (word_at(bytes, at + 2) & 0xfff8) != 0;
      next = bytes[at];
      at += 8;
    }
    return {ip, true, next, at, end};
  }
  const std::size_t header = std::size_t{bytes[ip]} % 16 * 4;
  return {ip, false, bytes[ip + 9], ip + header,
          std::min(ip + word_at(bytes, ip + 2), bytes.size())};
}

IpAddress address_at(View bytes, const Layout& layout, std::size_t number) {
  const std::size_t at = layout.addresses() + number * layout.address_size();
  if (!layout.v6) return Ipv4Address::from_host(long_at(bytes, at));
  std::array<std::uint8_t, 16> octets;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 16, octets.begin());
  return Ipv6Address::of(octets);
}

Kind kind_at(View bytes, const Layout& layout) {
  if (layout.protocol == ip::tcp) return Kind::tcp;
  if (layout.protocol == ip::udp) return Kind::udp;
  if (!layout.is_icmp()) return Kind::other;
  const std::uint8_t type = bytes[layout.transport];
  if (type == (layout.v6 ? 128 : 8)) return Kind::echo_request;
  if (type == (layout.v6 ? 129 : 0)) return Kind::echo_reply;
  const bool error = layout.v6 ? type >= 1 && type <= 4 : type == 3 || type == 11 || type == 12;
  return error ? Kind::icmp_error : Kind::icmp_other;
}

// What the transport's sum covers, without the lengths and protocol, which never change.
std::uint16_t covered_sum(View bytes, const Layout& layout) {
  const std::uint16_t transport =
      sum_of(bytes.subspan(layout.transport, layout.end - layout.transport));
  if (!layout.sums_addresses()) return transport;
  return plus(transport, sum_of(bytes.subspan(layout.addresses(), 2 * layout.address_size())));
}

std::uint16_t pseudo_sum(View bytes, const Layout& layout) {
  const std::uint16_t addresses =
      sum_of(bytes.subspan(layout.addresses(), 2 * layout.address_size()));
  const auto size = static_cast<std::uint32_t>(layout.end - layout.transport);
  return plus(plus(addresses, size), layout.protocol);
}

// Mends a sum so that everything still adds up to what it did before.
void keep_sum(Bytes& bytes, std::size_t field, std::uint16_t before, std::uint16_t after) {
  set_word(bytes, field, plus(word_at(bytes, field), minus(before, after)));
}

void set_header_sum(Bytes& bytes, const Layout& layout) {
  if (layout.v6) return;
  set_word(bytes, layout.ip + 10, 0);
  set_word(bytes, layout.ip + 10,
           0xffffu - sum_of(View(bytes).subspan(layout.ip, layout.transport - layout.ip)));
}

// Writes addresses; the IPv4 header's sum keeps its damage.
void write_addresses(Bytes& bytes, const Layout& layout, const IpAddress& source,
                     const IpAddress& destination) {
  const auto header = [&] {
    return sum_of(View(bytes).subspan(layout.ip, layout.transport - layout.ip));
  };
  const std::uint16_t before = header();
  Bytes both = octets_of(source);
  const Bytes second = octets_of(destination);
  both.insert(both.end(), second.begin(), second.end());
  std::ranges::copy(both, bytes.begin() + static_cast<std::ptrdiff_t>(layout.addresses()));
  if (!layout.v6) keep_sum(bytes, layout.ip + 10, before, header());
}

void write_ports(Bytes& bytes, const Layout& layout, const Ends& ends) {
  switch (kind_at(bytes, layout)) {
    case Kind::tcp:
    case Kind::udp:
      set_word(bytes, layout.transport, ends.source.port);
      set_word(bytes, layout.transport + 2, ends.destination.port);
      return;
    case Kind::echo_request:
      set_word(bytes, layout.transport + 4, ends.source.port);
      return;
    case Kind::echo_reply:
      set_word(bytes, layout.transport + 4, ends.destination.port);
      return;
    default:
      return;
  }
}

Bytes ip_header(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol,
                std::size_t transport_size, const Look& look) {
  Bytes bytes;
  const bool v6 = is_v6(source);
  const std::uint8_t next = v6 && protocol == ip::icmp ? icmpv6_protocol : protocol;
  if (v6) {
    put(bytes, 0x600a'bcde, 4);
    const bool extended = look.option_words != 0;
    put(bytes, static_cast<std::uint32_t>(transport_size + (extended ? 8 : 0)), 2);
    put(bytes, extended ? destination_options : next, 1);
    put(bytes, look.ttl, 1);
  } else {
    const std::size_t header = 20 + std::size_t{4} * look.option_words;
    put(bytes, static_cast<std::uint32_t>(0x40 | header / 4), 1);
    put(bytes, 0xb8, 1);
    put(bytes, static_cast<std::uint32_t>(header + transport_size), 2);
    put(bytes, 0xcafe, 2);
    put(bytes, look.may_be_cut ? 0 : 0x4000, 2);
    put(bytes, look.ttl, 1);
    put(bytes, protocol, 1);
    put(bytes, 0, 2);
  }
  for (const IpAddress& address : {source, destination}) {
    const Bytes octets = octets_of(address);
    bytes.insert(bytes.end(), octets.begin(), octets.end());
  }
  if (!v6) {
    bytes.insert(bytes.end(), std::size_t{4} * look.option_words, 1);
  } else if (look.option_words != 0) {
    put(bytes, next, 1);
    put(bytes, 0x0001'0400, 4);
    put(bytes, 0, 3);
  }
  return bytes;
}

Bytes tcp_header(const Ends& ends, const TcpFields& fields) {
  Bytes bytes;
  put(bytes, ends.source.port, 2);
  put(bytes, ends.destination.port, 2);
  put(bytes, fields.sequence, 4);
  put(bytes, fields.acknowledgment, 4);
  put(bytes, (fields.scale < 0 ? 0x50u : 0x60u) | fields.reserved, 1);
  put(bytes, fields.flags, 1);
  put(bytes, fields.window, 2);
  put(bytes, 0, 4);
  if (fields.scale >= 0) put(bytes, 0x0103'0300u | static_cast<std::uint32_t>(fields.scale), 4);
  return bytes;
}

Bytes transport_of(const Ends& ends, Kind kind, const TcpFields& tcp_fields,
                   std::uint16_t payload) {
  const bool v6 = is_v6(ends.source.address);
  Bytes bytes;
  switch (kind) {
    case Kind::tcp:
      bytes = tcp_header(ends, tcp_fields);
      break;
    case Kind::udp:
      put(bytes, ends.source.port, 2);
      put(bytes, ends.destination.port, 2);
      put(bytes, 8u + payload, 2);
      put(bytes, 0, 2);
      break;
    case Kind::echo_request:
    case Kind::echo_reply: {
      const bool asks = kind == Kind::echo_request;
      put(bytes, v6 ? (asks ? 128 : 129) : (asks ? 8 : 0), 1);
      put(bytes, 0, 3);
      put(bytes, asks ? ends.source.port : ends.destination.port, 2);
      put(bytes, 7, 2);
      break;
    }
    default:
      put(bytes, 0x2000'0800, 4);
      break;
  }
  for (std::uint32_t i = 0; i < payload; ++i) put(bytes, i * 37 + 11, 1);
  return bytes;
}

// Sets the sums of a packet whose sums are 0, and damages what is to be damaged.
void set_sums(Bytes& bytes, Sum sum) {
  const Layout layout = layout_of(bytes, 0);
  set_header_sum(bytes, layout);
  if (sum == Sum::header_damaged && !layout.v6) bytes[11] ^= 0x40;
  if (!layout.has_sum()) return;
  if (sum == Sum::absent && layout.protocol == ip::udp) return;
  if (sum == Sum::partial || sum == Sum::segmented) {
    set_pseudo_sum(bytes);
    return;
  }
  complete_sum(bytes);
  if (sum == Sum::damaged) {
    bytes[layout.sum()] ^= 0x11;
    if (layout.protocol == ip::udp && word_at(bytes, layout.sum()) == 0) bytes[layout.sum()] = 0x22;
  }
}

}  // namespace

Message read(View packet) {
  const Layout layout = layout_of(packet, 0);
  Message message;
  message.kind = kind_at(packet, layout);
  message.protocol = layout.is_icmp() ? ip::icmp : layout.protocol;
  message.ends = read_addresses(packet);
  message.length = layout.end;
  const std::size_t at = layout.transport;
  switch (message.kind) {
    case Kind::tcp:
    case Kind::udp:
      message.ends.source.port = word_at(packet, at);
      message.ends.destination.port = word_at(packet, at + 2);
      break;
    case Kind::echo_request:
      message.ends.source.port = word_at(packet, at + 4);
      break;
    case Kind::echo_reply:
      message.ends.destination.port = word_at(packet, at + 4);
      break;
    case Kind::icmp_error:
      message.quotation = at + 8;
      break;
    default:
      break;
  }
  if (message.kind == Kind::tcp && layout.end - at >= 20) {
    const std::size_t header = std::size_t{packet[at + 12]} / 16 * 4;
    message.segment.fields = {.flags = packet[at + 13],
                              .sequence = long_at(packet, at + 4),
                              .acknowledgment = long_at(packet, at + 8),
                              .window = word_at(packet, at + 14),
                              .scale = header >= 24 ? packet[at + 23] : -1};
    message.segment.payload = static_cast<std::uint32_t>(layout.end - at - header);
  }
  return message;
}

Ends read_addresses(View packet) {
  const Layout layout = layout_of(packet, 0);
  return {{address_at(packet, layout, 0), 0}, {address_at(packet, layout, 1), 0}};
}

Bytes make_packet(const Ends& ends, Kind kind, const TcpFields& tcp_fields, const Look& look) {
  const Bytes transport = transport_of(ends, kind, tcp_fields, look.payload);
  const std::uint8_t protocol = kind == Kind::tcp     ? ip::tcp
                                : kind == Kind::udp   ? ip::udp
                                : kind == Kind::other ? ip::gre
                                                      : ip::icmp;
  Bytes bytes =
      ip_header(ends.source.address, ends.destination.address, protocol, transport.size(), look);
  bytes.insert(bytes.end(), transport.begin(), transport.end());
  set_sums(bytes, look.sum);
  bytes.insert(bytes.end(), look.trailing, 0xee);
  return bytes;
}

Bytes make_error(const IpAddress& from, const IpAddress& to, std::uint8_t number,
                 const Bytes& about, const Look& look) {
  static constexpr std::uint8_t v4_types[][2] = {{3, 3}, {11, 0}, {12, 0}, {3, 4}};
  static constexpr std::uint8_t v6_types[][2] = {{1, 4}, {3, 0}, {4, 1}, {2, 0}};
  const bool v6 = is_v6(from);
  Bytes bytes = ip_header(from, to, ip::icmp, 8 + about.size(), look);
  put(bytes, (v6 ? v6_types : v4_types)[number][0], 1);
  put(bytes, (v6 ? v6_types : v4_types)[number][1], 1);
  put(bytes, 0, 2);
  put(bytes, number == 3 ? 1280 : 0, 4);
  const std::size_t quotation = bytes.size();
  bytes.insert(bytes.end(), about.begin(), about.end());
  if (look.sum == Sum::header_damaged && !v6) bytes[quotation + 11] ^= 0x40;
  set_sums(bytes, look.sum == Sum::damaged ? Sum::damaged : Sum::right);
  bytes.insert(bytes.end(), look.trailing, 0xee);
  return bytes;
}

void rewrite(Bytes& bytes, std::size_t offset, const Ends& ends) {
  const Layout layout = layout_of(bytes, offset);
  const std::uint16_t before = covered_sum(bytes, layout);
  write_addresses(bytes, layout, ends.source.address, ends.destination.address);
  write_ports(bytes, layout, ends);
  if (!layout.has_sum()) return;
  const bool is_udp = layout.protocol == ip::udp;
  if (is_udp && word_at(bytes, layout.sum()) == 0) return;
  keep_sum(bytes, layout.sum(), before, covered_sum(bytes, layout));
  if (is_udp && word_at(bytes, layout.sum()) == 0) set_word(bytes, layout.sum(), 0xffff);
}

void rewrite_error(Bytes& bytes, const IpAddress& source, const IpAddress& destination,
                   const Ends& quoted) {
  const Layout layout = layout_of(bytes, 0);
  const std::uint16_t before = covered_sum(bytes, layout);
  write_addresses(bytes, layout, source, destination);
  rewrite(bytes, layout.transport + 8, quoted);
  keep_sum(bytes, layout.sum(), before, covered_sum(bytes, layout));
}

bool may_be_cut(View packet) {
  return is_fragment(packet) || (packet[0] >> 4 == 4 && (packet[6] & 0x40) == 0);
}

bool is_fragment(View packet) {
  if (packet[0] >> 4 == 6) return packet[6] == fragment_header;
  return (word_at(packet, 6) & 0x3fff) != 0;
}

bool is_later_fragment(View packet) {
  if (packet[0] >> 4 == 6) {
    return is_fragment(packet) && (word_at(packet, ipv6_header_bytes + 2) & 0xfff8) != 0;
  }
  return (word_at(packet, 6) & 0x1fff) != 0;
}

std::vector<Bytes> cut(const Bytes& packet, std::uint32_t pieces, std::uint32_t identification) {
  constexpr std::size_t unit = 8;  // that offsets are counted in
  const Layout layout = layout_of(packet, 0);
  const bool v6 = layout.v6;
  const std::size_t header = v6 ? ipv6_header_bytes : layout.transport;
  const std::size_t size = layout.end - header;
  // The longest headers fit: IPv6 options, and TCP with an option of its own.
  constexpr std::size_t first_min = 32;
  if (size < first_min + unit * (pieces - 1)) return {packet};
  const std::size_t first = std::max(first_min, size / pieces / unit * unit);
  std::vector<Bytes> all;
  std::size_t begin = 0;
  for (std::uint32_t i = 0; i < pieces; ++i) {
    const bool is_last = i + 1 == pieces;
    const std::size_t rest = size - begin;
    const std::size_t left = pieces - i;
    const std::size_t length = is_last  ? rest
                               : i == 0 ? first
                                        : std::max(unit, rest / left / unit * unit);
    Bytes one(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(header));
    if (v6) {
      set_word(one, 4, static_cast<std::uint32_t>(fragment_header_bytes + length));
      put(one, one[6], 1);
      one[6] = fragment_header;
      put(one, 0, 1);
      put(one, static_cast<std::uint32_t>(begin) | (is_last ? 0u : 1u), 2);
      put(one, identification, 4);
    } else {
      const auto sum = [&] { return sum_of(one); };
      const std::uint16_t before = sum();
      set_word(one, 2, static_cast<std::uint32_t>(header + length));
      set_word(one, 4, identification);
      set_word(one, 6, static_cast<std::uint32_t>(begin / unit) | (is_last ? 0u : 0x2000u));
      keep_sum(one, 10, before, sum());
    }
    const auto from = packet.begin() + static_cast<std::ptrdiff_t>(header + begin);
    one.insert(one.end(), from, from + static_cast<std::ptrdiff_t>(length));
    all.push_back(std::move(one));
    begin += length;
  }
  return all;
}

Bytes datagram_of(View fragment) {
  const bool v6 = fragment[0] >> 4 == 6;
  Bytes name;
  put(name, v6 ? long_at(fragment, ipv6_header_bytes + 4) : word_at(fragment, 4), 4);
  if (!v6) put(name, fragment[9], 1);
  const View addresses = v6 ? fragment.subspan(8, 32) : fragment.subspan(12, 8);
  name.insert(name.end(), addresses.begin(), addresses.end());
  return name;
}

void rewrite_later(Bytes& fragment, const IpAddress& source, const IpAddress& destination) {
  write_addresses(fragment, layout_of(fragment, 0), source, destination);
}

Bytes with_one_header_zero(Bytes packet) {
  if (packet[0] >> 4 == 4 && word_at(packet, 10) == 0xffff) set_word(packet, 10, 0);
  return packet;
}

void copy_identification(Bytes& packet, const Bytes& from) {
  const Layout layout = layout_of(packet, 0);
  if (layout.v6) {
    constexpr std::ptrdiff_t at = ipv6_header_bytes + 4;
    if (is_fragment(packet)) std::copy_n(from.begin() + at, 4, packet.begin() + at);
    return;
  }
  const auto header = [&] { return sum_of(View(packet).first(layout.transport)); };
  const std::uint16_t before = header();
  set_word(packet, 4, word_at(from, 4));
  keep_sum(packet, 10, before, header());
}

void complete_sum(Bytes& packet) {
  const Layout layout = layout_of(packet, 0);
  set_word(packet, layout.sum(), 0);
  const std::uint16_t pseudo = layout.sums_addresses() ? pseudo_sum(packet, layout) : 0;
  const View transport = View(packet).subspan(layout.transport, layout.end - layout.transport);
  const std::uint16_t sum = static_cast<std::uint16_t>(0xffffu - plus(pseudo, sum_of(transport)));
  set_word(packet, layout.sum(), sum == 0 && layout.protocol == ip::udp ? 0xffffu : sum);
}

void set_pseudo_sum(Bytes& packet) {
  const Layout layout = layout_of(packet, 0);
  set_word(packet, layout.sum(), layout.sums_addresses() ? pseudo_sum(packet, layout) : 0);
}

bool error_sums_are_right(View packet) {
  const Layout layout = layout_of(packet, 0);
  const View message = packet.subspan(layout.transport, layout.end - layout.transport);
  const std::uint16_t pseudo = layout.sums_addresses() ? pseudo_sum(packet, layout) : 0;
  if (plus(pseudo, sum_of(message)) != 0xffff) return false;
  const Layout quoted = layout_of(packet, layout.transport + 8);
  if (quoted.v6) return true;
  return sum_of(packet.subspan(quoted.ip, quoted.transport - quoted.ip)) == 0xffff;
}

Bytes with_one_zero(Bytes packet, ChecksumState state) {
  const auto normalise = [&](std::size_t at) {
    if (word_at(packet, at) == 0xffff) set_word(packet, at, 0);
  };
  const auto normalise_all = [&](const Layout& layout) {
    if (!layout.v6) normalise(layout.ip + 10);
    const bool distinct = layout.protocol == ip::udp && state != ChecksumState::segmented;
    if (layout.has_sum() && !distinct) normalise(layout.sum());
  };
  const Layout layout = layout_of(packet, 0);
  normalise_all(layout);
  if (kind_at(packet, layout) == Kind::icmp_error) {
    normalise_all(layout_of(packet, layout.transport + 8));
  }
  return packet;
}

}  // namespace swnat::property
