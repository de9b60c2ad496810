// What is rewritten in a packet, and its checksums.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "tests/support/dice.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// A packet and what came out; which bytes may differ.
struct Passage {
  Bytes before;
  Outcome after;
};

constexpr std::size_t source_offset = 12;
constexpr std::size_t destination_offset = 16;

// The port, or the identifier of an echo, that stands for the NAT's side.
std::size_t port_offset(View packet, bool is_outbound) {
  const std::size_t transport = transport_offset(packet);
  if (protocol_of(packet) == protocol::icmp) return transport + 4;
  return transport + (is_outbound ? 0 : 2);
}

std::set<std::size_t> rewritten_offsets(View packet, bool is_outbound) {
  std::set<std::size_t> offsets;
  const auto add = [&offsets](std::size_t offset, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) offsets.insert(offset + i);
  };
  add(is_outbound ? source_offset : destination_offset, 4);
  add(port_offset(packet, is_outbound), 2);
  add(header_checksum_offset, 2);
  add(transport_checksum_offset(packet), 2);
  return offsets;
}

void check_all_else_kept(const Passage& passage, bool is_outbound) {
  REQUIRE_EQ(passage.before.size(), passage.after.bytes.size());
  const std::set<std::size_t> rewritten = rewritten_offsets(passage.before, is_outbound);
  for (std::size_t i = 0; i < passage.before.size(); ++i) {
    if (rewritten.contains(i) || passage.before[i] == passage.after.bytes[i]) continue;
    CAPTURE(i);
    CHECK_EQ(int{passage.before[i]}, int{passage.after.bytes[i]});
  }
}

// Packets of one session in both directions, with all that a header may hold.
struct Shape {
  const char* name;
  Bytes outbound;
  std::uint8_t protocol;
  Bytes (*inbound)(Peer external);
};

const IpFields odd_header{.options = {0x94, 4, 0, 0, 1, 1, 1}, .ttl = 3, .id = 0xbeef};
const TcpFields odd_segment{.flags = 0xc2,
                            .sequence = 0xffff'fff0,
                            .acknowledgment = 0xabcd'ef01,
                            .window = 7,
                            .reserved = 0xf,
                            .options = {2, 4, 5, 0xb4, 1, 1, 3, 3, 7}};
const TcpFields odd_answer{.flags = 0x52,
                           .sequence = 77,
                           .acknowledgment = 0xffff'fff1,
                           .reserved = 0xb,
                           .options = {8, 10, 1, 2, 3, 4, 5, 6, 7, 8}};

std::vector<Shape> shapes() {
  return {
      {"udp", udp(client, server, payload_of(101)), protocol::udp,
       [](Peer external) { return udp(server, external, payload_of(58, 4)); }},
      {"udp without payload", udp(client, server), protocol::udp,
       [](Peer external) { return udp(server, external); }},
      {"udp with ip options", udp(client, server, payload_of(33), odd_header), protocol::udp,
       [](Peer external) { return udp(server, external, payload_of(1), odd_header); }},
      {"tcp", tcp(client, server), protocol::tcp,
       [](Peer external) { return tcp(server, external, {.flags = 0x12}); }},
      {"tcp with reserved bits and options",
       tcp(client, server, odd_segment, payload_of(7), odd_header), protocol::tcp,
       [](Peer external) {
         return tcp(server, external, odd_answer, payload_of(1000), odd_header);
       }},
      {"echo", echo_request(client, server.address, payload_of(56)), protocol::icmp,
       [](Peer external) { return echo_reply(server.address, external, payload_of(56)); }},
      {"echo with odd payload and ip options",
       echo_request(client, server.address, payload_of(9), odd_header), protocol::icmp,
       [](Peer external) {
         return echo_reply(server.address, external, payload_of(9), odd_header);
       }},
  };
}

// What the transport checksum holds before the packet meets the engine.
Bytes with_checksum_of(ChecksumState state, Bytes packet) {
  if (state == ChecksumState::complete) return packet;
  const bool has_pseudo_header = protocol_of(packet) != protocol::icmp;
  return has_pseudo_header ? pseudo_summed(packet) : unsummed(packet);
}

bool is_pseudo_header_only(ChecksumState state, View packet) {
  return state == ChecksumState::segmented && protocol_of(packet) == protocol::udp;
}

void check_sums(ChecksumState state, View packet) {
  CHECK(header_checksum_is_right(packet));
  if (is_pseudo_header_only(state, packet)) {
    CHECK_EQ(word_at(packet, transport_checksum_offset(packet)), pseudo_header_sum(packet));
  } else {
    CHECK(transport_checksum_is_right(packet));
  }
}

constexpr ChecksumState all_states[] = {ChecksumState::complete, ChecksumState::partial,
                                        ChecksumState::segmented};

}  // namespace

TEST_CASE("rewrite: out and in, every protocol and checksum state, all else kept") {
  for (const Shape& shape : shapes()) {
    for (const ChecksumState state : all_states) {
      if (state == ChecksumState::segmented && shape.protocol == protocol::icmp) continue;
      INFO(std::string(shape.name));
      CAPTURE(static_cast<int>(state));
      Gateway gateway;
      const Bytes out = with_checksum_of(state, shape.outbound);
      const Outcome sent = gateway.out(blue, out, state);
      REQUIRE_EQ(sent.reason, Reason::translated_outbound);
      CHECK_EQ(sent.source().address.host(), external_host.host());
      CHECK_EQ(sent.destination(), destination_of(shape.outbound));
      check_sums(state, sent.bytes);
      check_all_else_kept({out, sent}, true);

      const Bytes in = with_checksum_of(state, shape.inbound(sent.source()));
      const Outcome received = gateway.in(in, state);
      REQUIRE_EQ(received.reason, Reason::translated_inbound);
      CHECK_EQ(received.destination(), client);
      CHECK_EQ(received.source(), source_of(in));
      CHECK_EQ(received.namespace_id, blue);
      check_sums(state, received.bytes);
      check_all_else_kept({in, received}, false);
    }
  }
}

TEST_CASE("rewrite: sums are right for many endpoints and payloads") {
  Dice random(12);
  for (const ChecksumState state : all_states) {
    Gateway gateway;
    for (int i = 0; i < 600; ++i) {
      const Peer internal{Host::from_host(0x0a00'0000 | random.below(1 << 24)),
                          static_cast<std::uint16_t>(1 + random.below(65'535))};
      const Peer remote{Host::from_host(0x0b00'0000 + random.below(1 << 24)),
                        static_cast<std::uint16_t>(1 + random.below(65'535))};
      const Bytes payload = payload_of(random.below(1400), random());
      const bool is_udp = random.one_in(2);
      Bytes packet = is_udp ? udp(internal, remote, payload) : tcp(internal, remote, {}, payload);
      const Outcome sent = gateway.out(blue, with_checksum_of(state, std::move(packet)), state);
      REQUIRE(sent.accepted());
      check_sums(state, sent.bytes);
    }
  }
}

TEST_CASE("rewrite: a segmented packet of the greatest size gets a right sum") {
  for (const std::size_t size : {65'495U, 65'494U, 60'001U}) {
    Gateway gateway;
    const Bytes payload = payload_of(size);
    const Outcome sent = gateway.out(
        blue, with_checksum_of(ChecksumState::segmented, tcp(client, server, {}, payload)),
        ChecksumState::segmented);
    REQUIRE(sent.accepted());
    CHECK(transport_checksum_is_right(sent.bytes));
  }
}

TEST_CASE("rewrite: a UDP checksum of zero stays zero") {
  Gateway gateway;
  const Bytes packet = unsummed(udp(client, server, payload_of(40)));
  const Outcome sent = gateway.out(blue, packet);
  REQUIRE(sent.accepted());
  CHECK_EQ(word_at(sent.bytes, transport_checksum_offset(packet)), 0);
  CHECK(header_checksum_is_right(sent.bytes));

  const Bytes reply = unsummed(udp(server, sent.source(), payload_of(40)));
  const Outcome received = gateway.in(reply);
  REQUIRE(received.accepted());
  CHECK_EQ(word_at(received.bytes, transport_checksum_offset(reply)), 0);
  CHECK(header_checksum_is_right(received.bytes));
}

TEST_CASE("rewrite: a UDP checksum that comes out as zero is written as 0xffff") {
  for (const ChecksumState state : {ChecksumState::complete, ChecksumState::partial}) {
    CAPTURE(static_cast<int>(state));
    Gateway gateway;
    Bytes payload = payload_of(40);
    const Outcome first = gateway.out(blue, udp(client, server, payload));
    REQUIRE(first.accepted());
    // The two bytes that make the sum of the translated packet come out as zero.
    const std::uint16_t checksum = word_at(first.bytes, transport_checksum_offset(first.bytes));
    const std::uint32_t wanted = std::uint32_t{word_at(payload, 0)} + checksum;
    set_word(payload, 0, static_cast<std::uint16_t>((wanted & 0xffff) + (wanted >> 16)));
    const Bytes packet = with_checksum_of(state, udp(client, server, payload));
    const Outcome sent = gateway.out(blue, packet, state);
    REQUIRE(sent.accepted());
    REQUIRE_EQ(right_transport_checksum(sent.bytes), 0xffff);
    CHECK_EQ(word_at(sent.bytes, transport_checksum_offset(sent.bytes)), 0xffff);
  }
}

TEST_CASE("rewrite: damage in a complete packet stays visible, by the same amount") {
  Dice random(77);
  for (const std::uint8_t protocol : all_protocols) {
    Gateway gateway;
    for (int i = 0; i < 300; ++i) {
      Bytes packet = opening(protocol, client, server);
      const std::size_t checksum = transport_checksum_offset(packet);
      const std::uint16_t damage = random.word();
      // Zero would say that a datagram has no sum.
      const auto damaged = static_cast<std::uint16_t>(word_at(packet, checksum) ^ damage);
      if (damage == 0 || damaged == 0) continue;
      set_word(packet, checksum, damaged);
      const auto damaged_header =
          static_cast<std::uint16_t>(word_at(packet, header_checksum_offset) ^ random.word());
      set_word(packet, header_checksum_offset, damaged_header);
      const Outcome sent = gateway.out(blue, packet);
      REQUIRE(sent.accepted());
      CHECK_EQ(transport_damage(sent.bytes), transport_damage(packet));
      CHECK_EQ(header_damage(sent.bytes), header_damage(packet));
    }
  }
}

TEST_CASE("rewrite: the IP header's sum is incremental in every state") {
  for (const ChecksumState state : all_states) {
    Gateway gateway;
    Bytes packet = with_checksum_of(state, udp(client, server, payload_of(10)));
    packet[8] ^= 0x20;  // a damaged time to live
    const Outcome sent = gateway.out(blue, packet, state);
    REQUIRE(sent.accepted());
    CHECK_EQ(header_damage(sent.bytes), header_damage(packet));
    CHECK_NE(header_damage(sent.bytes), 0);
  }
}

TEST_CASE("rewrite: bytes beyond the total length are neither summed nor touched") {
  for (const std::uint8_t protocol : all_protocols) {
    for (const ChecksumState state : all_states) {
      if (state == ChecksumState::segmented && protocol == protocol::icmp) continue;
      CAPTURE(int{protocol});
      CAPTURE(static_cast<int>(state));
      Gateway gateway;
      Bytes packet = with_checksum_of(state, opening(protocol, client, server));
      const std::size_t size = packet.size();
      const Bytes trailer = payload_of(13, 5);
      packet.insert(packet.end(), trailer.begin(), trailer.end());
      const Outcome sent = gateway.out(blue, packet, state);
      REQUIRE(sent.accepted());
      check_sums(state, View(sent.bytes).first(size));
      CHECK_EQ(Bytes(sent.bytes.begin() + static_cast<int>(size), sent.bytes.end()), trailer);
      check_all_else_kept({packet, sent}, true);
    }
  }
}

TEST_CASE("rewrite: a datagram that ends before its packet is summed to its own end") {
  const Bytes datagram = udp(client, server, payload_of(21));
  for (const ChecksumState state : {ChecksumState::complete, ChecksumState::partial}) {
    CAPTURE(static_cast<int>(state));
    Bytes packet = with_checksum_of(state, datagram);
    const Bytes surplus = payload_of(6, 9);
    packet.insert(packet.end(), surplus.begin(), surplus.end());
    packet = header_summed(with_word(packet, 2, static_cast<std::uint32_t>(packet.size())));
    Gateway gateway;
    Outcome sent = gateway.out(blue, packet, state);
    REQUIRE(sent.accepted());
    CHECK(header_checksum_is_right(sent.bytes));
    check_all_else_kept({packet, sent}, true);
    set_word(sent.bytes, 2, static_cast<std::uint16_t>(datagram.size()));
    CHECK(transport_checksum_is_right(sent.bytes));
  }
}

TEST_CASE("rewrite: a dropped packet is untouched") {
  Gateway gateway;
  const Bytes dropped_on_the_way_out[] = {
      tcp(client, server, {.flags = 0x10}),
      udp(at(client, 0), server),
      icmp(client.address, server.address, 3, 1, 0, payload_of(28)),
  };
  for (const Bytes& packet : dropped_on_the_way_out) {
    const Outcome sent = gateway.out(blue, packet);
    CHECK_FALSE(sent.accepted());
    CHECK_EQ(sent.bytes, packet);
  }
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  const Bytes unwanted = udp(stranger, external, payload_of(5));
  const Outcome received = gateway.in(unwanted);
  CHECK_EQ(received.reason, Reason::filtered);
  CHECK_EQ(received.bytes, unwanted);
}
