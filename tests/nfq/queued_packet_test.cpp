#include "nfq/queued_packet.h"

#include <doctest/doctest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "tests/support/dice.h"
#include "tests/support/nfq_messages.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

constexpr std::size_t id_offset = 24;  // headers and the first attribute's header

QueueMessage full_message() {
  return {.id = 0x01020304,
          .hook = NF_INET_PRE_ROUTING,
          .fwmark = 0xa0000007,
          .skb_info = NFQA_SKB_GSO,
          .cap_len = 70'000,
          .packet = payload_of(333)};
}

}  // namespace

TEST_CASE("a queue message is read at every alignment") {
  const Bytes message = packet_message(full_message());
  for (std::size_t shift = 0; shift < 8; ++shift) {
    Bytes shifted(shift + message.size());
    std::copy(message.begin(), message.end(), shifted.begin() + static_cast<std::ptrdiff_t>(shift));
    QueuedPacket packet;
    REQUIRE_EQ(decode(std::span(shifted).subspan(shift), packet), Decoding::complete);
    CHECK_EQ(packet.id, 0x01020304u);
    CHECK_EQ(packet.hook, NF_INET_PRE_ROUTING);
    CHECK_EQ(packet.fwmark, 0xa0000007u);
    CHECK_EQ(packet.skb_info, std::uint32_t{NFQA_SKB_GSO});
    CHECK(packet.is_cut());
    CHECK_EQ(Bytes(packet.bytes.begin(), packet.bytes.end()), payload_of(333));
  }
}

TEST_CASE("what a queue message does not say is zero, also after another message") {
  Bytes first = packet_message(full_message());
  QueuedPacket packet;
  REQUIRE_EQ(decode(first, packet), Decoding::complete);
  Bytes second = packet_message({.id = 9, .packet = payload_of(28)});
  REQUIRE_EQ(decode(second, packet), Decoding::complete);
  CHECK_EQ(packet.fwmark, 0u);
  CHECK_EQ(packet.skb_info, 0u);
  CHECK_FALSE(packet.is_cut());
}

TEST_CASE("a queue message cut anywhere is never complete, and keeps its id once that is there") {
  const Bytes message = packet_message({.id = 77, .fwmark = 1, .packet = payload_of(64)});
  for (std::size_t size = 0; size < message.size(); ++size) {
    Bytes cut(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size));
    cut.shrink_to_fit();  // so that a sanitizer sees a read beyond it
    QueuedPacket packet;
    const Decoding decoding = decode(cut, packet);
    CAPTURE(size);
    CHECK_NE(decoding, Decoding::complete);
    CHECK_EQ(decoding == Decoding::only_id, size >= id_offset + sizeof(nfqnl_msg_packet_hdr));
    if (decoding == Decoding::only_id) CHECK_EQ(packet.id, 77u);
  }
}

TEST_CASE("damaged queue messages are read within their bounds") {
  Dice random(1);
  const Bytes message = packet_message(full_message());
  for (int round = 0; round < 50'000; ++round) {
    Bytes damaged = message;
    for (std::uint32_t i = 0; i <= random.below(6); ++i) {
      const std::uint32_t end = random.one_in(2) ? 64 : static_cast<std::uint32_t>(damaged.size());
      damaged[random.below(end)] = static_cast<std::uint8_t>(random());
    }
    QueuedPacket packet;
    const Decoding decoding = decode(damaged, packet);
    if (packet.bytes.empty()) {
      CHECK_NE(decoding, Decoding::complete);
    } else {
      CHECK_GE(packet.bytes.data(), damaged.data());
      CHECK_LE(packet.bytes.data() + packet.bytes.size(), damaged.data() + damaged.size());
    }
  }
}

TEST_CASE("the hook and the fwmark tell the direction") {
  struct Case {
    std::uint8_t hook;
    std::uint32_t fwmark;
    std::optional<Direction> direction;
  };
  constexpr std::uint32_t mask = 0xffff;
  const Case cases[] = {
      {NF_INET_PRE_ROUTING, 0, Direction::inbound},
      {NF_INET_PRE_ROUTING, 0x10000, Direction::inbound},
      {NF_INET_PRE_ROUTING, 0x10001, Direction::hairpin},
      {NF_INET_FORWARD, 1, Direction::outbound},
      {NF_INET_LOCAL_OUT, 0x10000, Direction::inbound},
      {NF_INET_LOCAL_OUT, 1, Direction::hairpin},
      {NF_INET_POST_ROUTING, 0, Direction::outbound},
      {NF_INET_LOCAL_IN, 1, std::nullopt},
      {NF_INET_INGRESS, 1, std::nullopt},
      {255, 1, std::nullopt},
  };
  for (const Case& one : cases) {
    CAPTURE(int{one.hook});
    CHECK(direction_of({.hook = one.hook, .fwmark = one.fwmark, .bytes = {}}, mask) ==
          one.direction);
  }
}

TEST_CASE("the checksum's state follows the kernel's flags") {
  CHECK_EQ(checksum_state_of(0), ChecksumState::complete);
  CHECK_EQ(checksum_state_of(NFQA_SKB_CSUM_NOTVERIFIED), ChecksumState::complete);
  CHECK_EQ(checksum_state_of(NFQA_SKB_CSUMNOTREADY), ChecksumState::partial);
  CHECK_EQ(checksum_state_of(NFQA_SKB_GSO), ChecksumState::segmented);
  CHECK_EQ(checksum_state_of(NFQA_SKB_GSO | NFQA_SKB_CSUMNOTREADY), ChecksumState::segmented);
}
