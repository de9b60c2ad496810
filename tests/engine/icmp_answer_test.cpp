// What senders are told when no session can be made.
#include "swnat/icmp_answer.h"

#include <doctest/doctest.h>

#include <array>
#include <initializer_list>

#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Host gateway_host = Host::of(10, 0, 0, 1);
constexpr std::size_t v4_quotation = 28;  // offset of the quoted packet in an answer
constexpr std::size_t v6_quotation = 48;

Bytes answer_v4(View packet, Host source = gateway_host) {
  std::array<std::uint8_t, ipv4_answer_max> answer{};
  const std::size_t size = write_icmp_answer(packet, source, answer);
  return {answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(size)};
}

using Octets = std::array<std::uint8_t, 16>;
constexpr Octets v6_gateway{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr Octets v6_client{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
constexpr Octets v6_server{0x20, 1, 0xd, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};

Bytes answer_v6(View packet) {
  std::array<std::uint8_t, ipv6_answer_max> answer{};
  const std::size_t size = write_icmp_answer(packet, Ipv6Address::of(v6_gateway), answer);
  return {answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(size)};
}

struct Ipv6Fields {
  Octets source = v6_client;
  Octets destination = v6_server;
  std::uint8_t next = 17;
};

Bytes ipv6(const Ipv6Fields& ip, const Bytes& behind) {
  Bytes packet{0x60, 0, 0, 0, 0, 0, ip.next, 63};
  set_word(packet, 4, static_cast<std::uint16_t>(behind.size()));
  packet.insert(packet.end(), ip.source.begin(), ip.source.end());
  packet.insert(packet.end(), ip.destination.begin(), ip.destination.end());
  packet.insert(packet.end(), behind.begin(), behind.end());
  return packet;
}

// The transport sum is nobody's business here.
Bytes udp_of(std::size_t payload) {
  Bytes datagram{0x9c, 0x40, 0, 80, 0, 0, 0x12, 0x34};
  set_word(datagram, 4, static_cast<std::uint16_t>(8 + payload));
  const Bytes rest = payload_of(payload);
  datagram.insert(datagram.end(), rest.begin(), rest.end());
  return datagram;
}

Bytes fragment_header(std::uint16_t offset_and_more, const Bytes& behind) {
  Bytes header{17, 0, 0, 0, 1, 2, 3, 4};
  set_word(header, 2, offset_and_more);
  header.insert(header.end(), behind.begin(), behind.end());
  return header;
}

bool icmpv6_sum_is_right(const Bytes& packet) {
  Bytes summed(packet.begin() + 8, packet.end());
  const auto size = static_cast<std::uint16_t>(packet.size() - 40);
  const Bytes pseudo{
      0, 0, static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size), 0, 0, 0, 58};
  summed.insert(summed.begin(), pseudo.begin(), pseudo.end());
  return naive_sum(summed) == 0xffff;
}

bool quotes(const Bytes& answer, std::size_t at, const Bytes& packet) {
  return answer.size() > at && answer.size() - at <= packet.size() &&
         std::equal(answer.begin() + static_cast<std::ptrdiff_t>(at), answer.end(), packet.begin());
}

}  // namespace

TEST_CASE("icmp answer: exactly the reasons of exhaustion deserve one") {
  for (std::size_t i = 0; i < reason_count; ++i) {
    const auto name = reasons[i].name;
    CAPTURE(name);
    const bool exhausted = name == "session_limit" || name == "port_limit" ||
                           name == "table_full" || name == "no_free_port" ||
                           name == "remote_in_use";
    CHECK_EQ(deserves_answer(static_cast<Reason>(i)), exhausted);
  }
}

TEST_CASE("icmp answer: rfc5508_req8 unreachable, prohibited, to the sender, with right sums") {
  for (const std::uint8_t protocol : all_protocols) {
    for (std::size_t size = 0; size < 40; ++size) {
      CAPTURE(int{protocol});
      CAPTURE(size);
      Bytes packet = opening(protocol, client, server);
      if (protocol == protocol::udp) packet = udp(client, server, payload_of(size));
      const Bytes answer = answer_v4(packet);
      REQUIRE_EQ(answer.size(), v4_quotation + packet.size());
      CHECK_EQ(total_length(answer), answer.size());
      CHECK_EQ(int{answer[0]}, 0x45);
      CHECK_EQ(int{answer[8]}, 64);
      CHECK_EQ(int{protocol_of(answer)}, 1);
      CHECK_EQ(source_of(answer).address, gateway_host);
      CHECK_EQ(destination_of(answer).address, client.address);
      CHECK_EQ(int{answer[20]}, 3);
      CHECK_EQ(int{answer[21]}, 13);
      CHECK_EQ(word_at(answer, 24), 0);
      CHECK_EQ(word_at(answer, 26), 0);
      CHECK(header_checksum_is_right(answer));
      CHECK(transport_checksum_is_right(answer));
      CHECK(quotes(answer, v4_quotation, packet));
    }
  }
}

TEST_CASE("icmp answer: of IPv6 too, at every length") {
  for (std::size_t size = 0; size < 40; ++size) {
    CAPTURE(size);
    const Bytes packet = ipv6({}, udp_of(size));
    const Bytes answer = answer_v6(packet);
    REQUIRE_EQ(answer.size(), v6_quotation + packet.size());
    CHECK_EQ(int{answer[0]}, 0x60);
    CHECK_EQ(word_at(answer, 4), answer.size() - 40);
    CHECK_EQ(int{answer[6]}, 58);
    CHECK_EQ(int{answer[7]}, 64);
    CHECK(std::equal(v6_gateway.begin(), v6_gateway.end(), answer.begin() + 8));
    CHECK(std::equal(v6_client.begin(), v6_client.end(), answer.begin() + 24));
    CHECK_EQ(int{answer[40]}, 1);
    CHECK_EQ(int{answer[41]}, 1);
    CHECK_EQ(word_at(answer, 44), 0);
    CHECK_EQ(word_at(answer, 46), 0);
    CHECK(icmpv6_sum_is_right(answer));
    CHECK(quotes(answer, v6_quotation, packet));
  }
}

TEST_CASE("icmp answer: as much is quoted as fits, and nothing behind the packet") {
  for (const std::size_t size : {519u, 520u, 521u, 1400u, 60'000u}) {
    CAPTURE(size);
    const Bytes packet = udp(client, server, payload_of(size));
    const Bytes answer = answer_v4(packet);
    CHECK_EQ(answer.size(), std::min<std::size_t>(576, v4_quotation + packet.size()));
    CHECK(transport_checksum_is_right(answer));
    CHECK(quotes(answer, v4_quotation, packet));
  }
  for (const std::size_t size : {1183u, 1184u, 1185u, 1400u, 60'000u}) {
    CAPTURE(size);
    const Bytes packet = ipv6({}, udp_of(size));
    const Bytes answer = answer_v6(packet);
    CHECK_EQ(answer.size(), std::min<std::size_t>(1280, v6_quotation + packet.size()));
    CHECK(icmpv6_sum_is_right(answer));
    CHECK(quotes(answer, v6_quotation, packet));
  }
  Bytes padded = udp(client, server, payload_of(3));
  const std::size_t length = padded.size();
  padded.resize(60, 0xee);
  CHECK_EQ(answer_v4(padded).size(), v4_quotation + length);
}

TEST_CASE("icmp answer: not to errors, later fragments, or what is no single host's") {
  const Bytes sent = udp(server, client, payload_of(30));
  for (const std::uint8_t type : std::initializer_list<std::uint8_t>{3, 4, 5, 11, 12, 0, 9, 13}) {
    CAPTURE(int{type});
    CHECK(answer_v4(error_about(sent, client.address, server.address, {type, 0})).empty());
  }
  const Bytes whole = udp(client, server, payload_of(64));
  const Bytes piece(whole.begin() + 20, whole.end());
  const auto with_fragment = [&](std::uint16_t fragment) {
    return ip_packet(client.address, server.address, piece, {.protocol = 17, .fragment = fragment});
  };
  CHECK(answer_v4(with_fragment(0x0001)).empty());
  CHECK(answer_v4(with_fragment(0x2009)).empty());
  CHECK_FALSE(answer_v4(with_fragment(0x2000)).empty());

  constexpr Host none_of_one[] = {Host::of(0, 0, 0, 0),   Host::of(127, 0, 0, 1),
                                  Host::of(224, 0, 0, 1), Host::of(239, 1, 2, 3),
                                  Host::of(240, 0, 0, 1), Host::of(255, 255, 255, 255)};
  for (const Host host : none_of_one) {
    CAPTURE(host.host());
    CHECK(answer_v4(udp({host, 1000}, server)).empty());
    CHECK(answer_v4(udp(client, {host, 1000})).empty());
  }
}

TEST_CASE("icmp answer: not of IPv6 to the same") {
  const Bytes echo{128, 0, 0, 0, 0, 1, 0, 1};
  CHECK_FALSE(answer_v6(ipv6({.next = 58}, echo)).empty());
  for (const std::uint8_t type :
       std::initializer_list<std::uint8_t>{1, 2, 3, 4, 100, 127, 129, 133, 135, 137}) {
    CAPTURE(int{type});
    Bytes other = echo;
    other[0] = type;
    CHECK(answer_v6(ipv6({.next = 58}, other)).empty());
  }
  const Bytes piece = udp_of(56);
  CHECK_FALSE(answer_v6(ipv6({.next = 44}, fragment_header(0x0001, piece))).empty());
  CHECK(answer_v6(ipv6({.next = 44}, fragment_header(0x0009, piece))).empty());
  CHECK(answer_v6(ipv6({.next = 44}, fragment_header(0x0008, piece))).empty());

  Octets loopback{};
  loopback[15] = 1;
  const Octets none_of_one[] = {Octets{}, loopback,
                                Octets{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
                                Octets{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  for (const Octets& host : none_of_one) {
    CAPTURE(int{host[0]});
    CHECK(answer_v6(ipv6({.source = host}, udp_of(4))).empty());
    CHECK(answer_v6(ipv6({.destination = host}, udp_of(4))).empty());
  }
}

TEST_CASE("icmp answer: not to what is damaged, cut or of the other family") {
  const Bytes v4 = udp(client, server, payload_of(8));
  const Bytes v6 = ipv6({}, udp_of(8));
  CHECK(answer_v4(v6).empty());
  CHECK(answer_v6(v4).empty());
  for (std::size_t size = 0; size < v4.size(); ++size) {
    CHECK(answer_v4(View(v4).first(size)).empty());
  }
  for (std::size_t size = 0; size < v6.size(); ++size) {
    CHECK(answer_v6(View(v6).first(size)).empty());
  }
}
