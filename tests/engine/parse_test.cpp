#include "engine/wire/parse.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

std::optional<Reason> gate(const Bytes& packet, Direction direction = Direction::outbound) {
  Parsed<Ipv4> parsed;
  // A copy that is exactly as long, so that a sanitizer sees a read beyond.
  const Bytes exact(packet);
  return parse(exact, direction, parsed);
}

Bytes cut(Bytes packet, std::size_t size) {
  packet.resize(size);
  packet.shrink_to_fit();
  return packet;
}

// The packet with a consistent IP total length that ends within its transport.
Bytes shortened(Bytes packet, std::size_t size) {
  packet = cut(std::move(packet), size);
  set_word(packet, 2, static_cast<std::uint16_t>(size));
  return packet;
}

Bytes with_byte(Bytes packet, std::size_t offset, std::uint8_t value) {
  packet[offset] = value;
  return packet;
}

const Peer from = client;
const Peer to = server;
const IpFields with_options{.options = {0x94, 4, 0, 0, 1, 1, 1}};

struct Named {
  const char* name;
  Bytes packet;
  std::size_t transport_header;
};

std::vector<Named> valid_packets() {
  return {
      {"udp", udp(from, to, payload_of(9)), 8},
      {"udp without payload", udp(from, to), 8},
      {"tcp", tcp(from, to, {}, payload_of(11)), 20},
      {"tcp with options", tcp(from, to, {.options = {2, 4, 5, 0xb4, 3, 3, 7}}, payload_of(3)), 28},
      {"echo request", echo_request(from, to.address, payload_of(13)), 8},
      {"udp behind ip options", udp(from, to, payload_of(9), with_options), 8},
      {"tcp behind ip options", tcp(from, to, {}, payload_of(9), with_options), 20},
  };
}

}  // namespace

TEST_CASE("parse: whole packets pass, and what they say is found") {
  for (const Named& c : valid_packets()) {
    INFO(std::string(c.name));
    Parsed<Ipv4> parsed;
    REQUIRE_FALSE(parse(c.packet, Direction::outbound, parsed).has_value());
    CHECK_EQ(Peer{parsed.source, parsed.source_port}, source_of(c.packet));
    CHECK_EQ(Peer{parsed.destination, parsed.destination_port}, destination_of(c.packet));
    CHECK_EQ(parsed.protocol, protocol_of(c.packet));
    CHECK_EQ(parsed.transport_offset, transport_offset(c.packet));
    CHECK_EQ(parsed.transport_size, c.packet.size() - transport_offset(c.packet));
    if (parsed.protocol == protocol::tcp) CHECK_EQ(parsed.tcp_flags & 0x3f, tcp_flag::syn);
  }
}

TEST_CASE("parse: an echo reply's identifier is its destination port") {
  Parsed<Ipv4> parsed;
  const Bytes reply = echo_reply(to.address, {external_host, 4321});
  REQUIRE_FALSE(parse(reply, Direction::inbound, parsed).has_value());
  CHECK_EQ(parsed.source_port, 0);
  CHECK_EQ(parsed.destination_port, 4321);
}

TEST_CASE("parse: a packet cut anywhere is malformed") {
  CHECK(gate({}).has_value());
  for (const Named& c : valid_packets()) {
    INFO(std::string(c.name));
    for (std::size_t size = 1; size < c.packet.size(); ++size) {
      CAPTURE(size);
      CHECK_EQ(gate(cut(c.packet, size)), Reason::malformed_ip);
    }
  }
}

TEST_CASE("parse: a total length that ends within a header is malformed") {
  for (const Named& c : valid_packets()) {
    INFO(std::string(c.name));
    const std::size_t header = transport_offset(c.packet);
    for (std::size_t size = 20; size < header; ++size) {
      CAPTURE(size);
      CHECK_EQ(gate(with_word(c.packet, 2, static_cast<std::uint16_t>(size))),
               Reason::malformed_ip);
    }
    for (std::size_t size = header; size < header + c.transport_header; ++size) {
      CAPTURE(size);
      CHECK_EQ(gate(shortened(c.packet, size)), Reason::malformed_transport);
    }
  }
}

TEST_CASE("parse: lengths that contradict each other") {
  const Bytes packet = udp(from, to, payload_of(40));
  for (std::uint8_t words = 0; words < 5; ++words) {
    CHECK_EQ(gate(with_byte(packet, 0, 0x40 | words)), Reason::malformed_ip);
  }
  const Bytes small = udp(from, to);
  CHECK_EQ(gate(with_byte(small, 0, 0x4f)), Reason::malformed_ip);
  const auto size = static_cast<std::uint16_t>(packet.size());
  for (const int total : {0, 1, 19, size + 1, 0xffff}) {
    CAPTURE(total);
    CHECK_EQ(gate(with_word(packet, 2, static_cast<std::uint16_t>(total))), Reason::malformed_ip);
  }
}

TEST_CASE("parse: only version 4 is IPv4") {
  const Bytes packet = udp(from, to, payload_of(40));
  for (std::uint32_t version = 0; version < 16; ++version) {
    CAPTURE(version);
    const auto gated = gate(with_byte(packet, 0, static_cast<std::uint8_t>(version << 4 | 5)));
    CHECK_EQ(gated, version == 4 ? std::nullopt : std::optional{Reason::not_ip});
  }
}

TEST_CASE("parse: bytes beyond the total length are ignored") {
  for (const Named& c : valid_packets()) {
    INFO(std::string(c.name));
    for (const std::size_t extra : {1U, 2U, 7U, 46U}) {
      Bytes packet = c.packet;
      packet.insert(packet.end(), extra, 0xee);
      Parsed<Ipv4> parsed;
      CHECK_FALSE(parse(packet, Direction::outbound, parsed).has_value());
      CHECK_EQ(parsed.transport_size, c.packet.size() - transport_offset(c.packet));
    }
  }
}

TEST_CASE("parse: a UDP length that contradicts the packet is malformed") {
  const Bytes packet = udp(from, to, payload_of(40));
  for (const int size : {0, 1, 7, 49, 50, 1000, 0xffff}) {
    CAPTURE(size);
    CHECK_EQ(gate(with_word(packet, 24, static_cast<std::uint16_t>(size))),
             Reason::malformed_transport);
  }
}

TEST_CASE("parse: a TCP data offset outside its segment is malformed") {
  const Bytes packet = tcp(from, to, {}, payload_of(8));
  for (std::uint32_t words = 0; words < 16; ++words) {
    CAPTURE(words);
    const auto gated = gate(with_byte(packet, 32, static_cast<std::uint8_t>(words << 4)));
    const bool fits = words >= 5 && words <= 7;
    CHECK_EQ(gated, fits ? std::nullopt : std::optional{Reason::malformed_transport});
  }
}

TEST_CASE("parse: fragments pass, with their place, unless only a forger sends them") {
  struct Case {
    const char* name;
    std::uint16_t field;
    std::size_t size;  // of the whole packet
    bool is_sound;
    bool tcp_is_sound;  // its header is longer than those of the others
  };
  const Case cases[] = {
      {"first", 0x2000, 60, true, true},
      {"with don't fragment", 0x6000, 60, true, true},
      {"first, no multiple of eight", 0x2000, 59, false, false},
      {"first, smaller than a header", 0x2000, 24, false, false},
      {"later, within a TCP header", 0x2001, 60, true, false},
      {"last", 0x0005, 60, true, true},
      {"last, beyond the longest datagram", 0x1fff, 60, false, false},
      {"last, empty", 0x0005, 20, false, false},
  };
  for (const Case& c : cases) {
    INFO(std::string(c.name));
    for (const std::uint8_t protocol : all_protocols) {
      Bytes packet = opening(protocol, from, to);
      packet.resize(60);
      packet = with_word(shortened(packet, c.size), 6, c.field);
      Parsed<Ipv4> parsed;
      const auto fault = parse(packet, Direction::outbound, parsed);
      if (!(protocol == protocol::tcp ? c.tcp_is_sound : c.is_sound)) {
        CHECK_EQ(fault, Reason::malformed_fragment);
        continue;
      }
      CHECK_FALSE(fault);
      CHECK_EQ(parsed.piece.offset, (c.field & 0x1fff) * 8);
      CHECK_EQ(parsed.piece.more, (c.field & 0x2000) != 0);
      CHECK_EQ(parsed.piece.identification, 0x1234);
      CHECK_EQ(parsed.source_port, parsed.piece.is_later() ? 0 : from.port);
    }
  }
  for (const std::uint16_t field : {std::uint16_t{0}, std::uint16_t{0x4000}}) {
    CHECK_FALSE(gate(with_word(udp(from, to, payload_of(40)), 6, field)).has_value());
  }
}

TEST_CASE("parse: protocols") {
  const Bytes transport = payload_of(64);
  for (std::uint32_t number = 0; number < 256; ++number) {
    if (number == 1 || number == 6 || number == 17) continue;
    CAPTURE(number);
    const Bytes packet = ip_packet(from.address, to.address, transport,
                                   {.protocol = static_cast<std::uint8_t>(number)});
    // IP and IPv6 in IP, GRE, ESP, L2TP and SCTP: translated by their addresses alone.
    const bool is_portless = number == 4 || number == 41 || number == 47 || number == 50 ||
                             number == 115 || number == 132;
    const auto expected = is_portless ? std::nullopt : std::optional{Reason::unsupported_protocol};
    CHECK_EQ(gate(packet), expected);
    CHECK_EQ(gate(packet, Direction::inbound), expected);
  }
}

TEST_CASE("parse: ICMP by type and direction") {
  for (std::uint32_t number = 0; number < 256; ++number) {
    const auto type = static_cast<std::uint8_t>(number);
    CAPTURE(number);
    const Bytes packet = icmp(from.address, to.address, type, 0, 4321, payload_of(40));
    std::optional<Reason> outbound = Reason::icmp_unsupported;
    std::optional<Reason> inbound = Reason::icmp_unsupported;
    if (type == 8) outbound = std::nullopt;
    if (type == 0) inbound = std::nullopt;
    // Unreachable, time exceeded, parameter problem; not source quench and redirect.
    if (type == 3 || type == 11 || type == 12) outbound = inbound = std::nullopt;
    CHECK_EQ(gate(packet, Direction::outbound), outbound);
    CHECK_EQ(gate(packet, Direction::inbound), inbound);
  }
}

TEST_CASE("parse: an echo has no code") {
  for (const std::uint8_t code : {std::uint8_t{1}, std::uint8_t{255}}) {
    const Bytes request = icmp(from.address, to.address, 8, code, 4321);
    CHECK_EQ(gate(request, Direction::outbound), Reason::icmp_unsupported);
    const Bytes reply = icmp(to.address, external_host, 0, code, 4321);
    CHECK_EQ(gate(reply, Direction::inbound), Reason::icmp_unsupported);
  }
}

TEST_CASE("parse: random bytes never pass with bounds that are not theirs") {
  for (std::uint32_t seed = 1; seed < 20'000; ++seed) {
    Bytes packet = payload_of(seed % 97, seed);
    if (!packet.empty()) packet[0] = static_cast<std::uint8_t>(0x40 | (packet[0] & 0xf));
    if (packet.size() > 9) {
      constexpr std::uint8_t likely[] = {1, 6, 17, 47};
      packet[9] = likely[seed % 4];
      set_word(packet, 2, static_cast<std::uint16_t>(packet.size() - seed % 3));
      if (seed % 5 != 0) set_word(packet, 6, 0);
    }
    Parsed<Ipv4> parsed;
    if (parse(packet, Direction::outbound, parsed).has_value()) continue;
    CAPTURE(seed);
    CHECK_LE(std::size_t{parsed.transport_offset} + parsed.transport_size, packet.size());
    CHECK_GE(parsed.transport_offset, 20);
    const bool has_header = parsed.protocol != 47 && !parsed.piece.is_later();
    CHECK_GE(parsed.transport_size, has_header ? 8 : 0);
  }
}
