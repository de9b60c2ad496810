// What senders are told when no session can be made.
#include "swnat/icmp_answer.h"

#include <doctest/doctest.h>

#include <array>
#include <initializer_list>

#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Host gateway_host = Host::of(10, 0, 0, 1);

Bytes answer_v4(View packet, Host source = gateway_host) {
  std::array<std::uint8_t, ipv4_answer_max> answer{};
  const std::size_t size = write_icmp_answer(packet, source, answer);
  return {answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(size)};
}

const Host6 gateway_host6 = host6({0xfd00, 0, 0, 0, 0, 0, 0, 1});

Bytes answer_v6(View packet) {
  std::array<std::uint8_t, ipv6_answer_max> answer{};
  const std::size_t size = write_icmp_answer(packet, gateway_host6, answer);
  return {answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(size)};
}

// A piece of a datagram, the first one or a later one.
Bytes piece_of(const Bytes& transport, std::uint16_t offset_and_more) {
  return ip6_packet(client6.address, server6.address, protocol::udp, transport,
                    {fragment_header(offset_and_more, 0x1020304)});
}

bool quotes(const Bytes& answer, const Bytes& packet) {
  return !answer.empty() && !quoted_in(answer).empty() && begins_with(packet, quoted_in(answer));
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
      REQUIRE_EQ(answer.size(), V4::quotation + packet.size());
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
      CHECK(quotes(answer, packet));
    }
  }
}

TEST_CASE("icmp answer: of IPv6 too, at every length") {
  for (std::size_t size = 0; size < 40; ++size) {
    CAPTURE(size);
    const Bytes packet = udp(client6, server6, payload_of(size));
    const Bytes answer = answer_v6(packet);
    REQUIRE_EQ(answer.size(), V6::quotation + packet.size());
    CHECK_EQ(int{answer[0]}, 0x60);
    CHECK_EQ(word_at(answer, 4), answer.size() - 40);
    CHECK_EQ(int{answer[6]}, 58);
    CHECK_EQ(int{answer[7]}, 64);
    CHECK_EQ(source6_of(answer).address, gateway_host6);
    CHECK_EQ(destination6_of(answer).address, client6.address);
    CHECK_EQ(int{answer[40]}, 1);
    CHECK_EQ(int{answer[41]}, 1);
    CHECK_EQ(word_at(answer, 44), 0);
    CHECK_EQ(word_at(answer, 46), 0);
    CHECK(transport_checksum_is_right(answer));
    CHECK(quotes(answer, packet));
  }
}

TEST_CASE("icmp answer: as much is quoted as fits, and nothing behind the packet") {
  for (const std::size_t size : {519u, 520u, 521u, 1400u, 60'000u}) {
    CAPTURE(size);
    const Bytes packet = udp(client, server, payload_of(size));
    const Bytes answer = answer_v4(packet);
    CHECK_EQ(answer.size(), std::min<std::size_t>(576, V4::quotation + packet.size()));
    CHECK(transport_checksum_is_right(answer));
    CHECK(quotes(answer, packet));
  }
  for (const std::size_t size : {1183u, 1184u, 1185u, 1400u, 60'000u}) {
    CAPTURE(size);
    const Bytes packet = udp(client6, server6, payload_of(size));
    const Bytes answer = answer_v6(packet);
    CHECK_EQ(answer.size(), std::min<std::size_t>(1280, V6::quotation + packet.size()));
    CHECK(transport_checksum_is_right(answer));
    CHECK(quotes(answer, packet));
  }
  Bytes padded = udp(client, server, payload_of(3));
  const std::size_t length = padded.size();
  padded.resize(60, 0xee);
  CHECK_EQ(answer_v4(padded).size(), V4::quotation + length);
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
  CHECK_FALSE(answer_v6(echo_request(client6, server6.address)).empty());
  for (const std::uint8_t type :
       std::initializer_list<std::uint8_t>{1, 2, 3, 4, 100, 127, 129, 133, 135, 137}) {
    CAPTURE(int{type});
    CHECK(answer_v6(icmp(client6.address, server6.address, type, 0, 0x10001)).empty());
  }
  const Bytes transport = udp_datagram(client6.port, server6.port, payload_of(56));
  CHECK_FALSE(answer_v6(piece_of(transport, 0x0001)).empty());
  CHECK(answer_v6(piece_of(transport, 0x0009)).empty());
  CHECK(answer_v6(piece_of(transport, 0x0008)).empty());

  const Host6 none_of_one[] = {host6({0, 0, 0, 0, 0, 0, 0, 0}), host6({0, 0, 0, 0, 0, 0, 0, 1}),
                               host6({0xff02, 0, 0, 0, 0, 0, 0, 1}),
                               host6({0xfe80, 0, 0, 0, 0, 0, 0, 1})};
  for (const Host6& host : none_of_one) {
    CAPTURE(int{host.octets()[0]});
    CHECK(answer_v6(udp({host, 1000}, server6, payload_of(4))).empty());
    CHECK(answer_v6(udp(client6, {host, 1000}, payload_of(4))).empty());
  }
}

TEST_CASE("icmp answer: not to what is damaged, cut or of the other family") {
  const Bytes v4 = udp(client, server, payload_of(8));
  const Bytes v6 = udp(client6, server6, payload_of(8));
  CHECK(answer_v4(v6).empty());
  CHECK(answer_v6(v4).empty());
  for (std::size_t size = 0; size < v4.size(); ++size) {
    CHECK(answer_v4(View(v4).first(size)).empty());
  }
  for (std::size_t size = 0; size < v6.size(); ++size) {
    CHECK(answer_v6(View(v6).first(size)).empty());
  }
}
