#include "tests/support/nfq_messages.h"

#include <doctest/doctest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#include <cstring>

namespace swnat::test {
namespace {

void pad(Bytes& bytes) {
  while (bytes.size() % 4 != 0) bytes.push_back(0xee);
}

void put16(Bytes& bytes, std::uint16_t value) {
  bytes.resize(bytes.size() + sizeof value);
  std::memcpy(bytes.data() + bytes.size() - sizeof value, &value, sizeof value);
}

void put32(Bytes& bytes, std::uint32_t value) {
  bytes.resize(bytes.size() + sizeof value);
  std::memcpy(bytes.data() + bytes.size() - sizeof value, &value, sizeof value);
}

Bytes big_endian(std::uint32_t value) {
  return {static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
          static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}

std::uint16_t get16(View bytes, std::size_t offset) {
  std::uint16_t value = 0;
  REQUIRE_LE(offset + sizeof value, bytes.size());
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::uint32_t get32(View bytes, std::size_t offset) {
  std::uint32_t value = 0;
  REQUIRE_LE(offset + sizeof value, bytes.size());
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::uint32_t get_big32(View bytes, std::size_t offset) {
  return __builtin_bswap32(get32(bytes, offset));
}

void put_attribute(Bytes& bytes, std::uint16_t type, const Bytes& value) {
  pad(bytes);
  put16(bytes, static_cast<std::uint16_t>(4 + value.size()));
  put16(bytes, type);
  bytes.insert(bytes.end(), value.begin(), value.end());
}

void read_attribute(SentVerdict& sent, std::uint16_t type, View value) {
  switch (type) {
    case NFQA_VERDICT_HDR:
      sent.verdict = get_big32(value, 0);
      sent.id = get_big32(value, 4);
      break;
    case NFQA_MARK:
      sent.fwmark = get_big32(value, 0);
      break;
    case NFQA_PAYLOAD:
      sent.packet = Bytes(value.begin(), value.end());
      break;
    default:
      FAIL("unexpected attribute ", type);
  }
}

SentVerdict read_verdict(View message) {
  CHECK_EQ(get16(message, 4), NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT);
  CHECK_EQ(get16(message, 6), NLM_F_REQUEST);
  SentVerdict sent;
  sent.queue = __builtin_bswap16(get16(message, 18));
  for (std::size_t at = 20; at < message.size();) {
    const std::size_t size = get16(message, at);
    REQUIRE_GE(size, 4);
    REQUIRE_LE(at + size, message.size());
    read_attribute(sent, get16(message, at + 2), message.subspan(at + 4, size - 4));
    at += (size + 3) / 4 * 4;
  }
  return sent;
}

}  // namespace

Bytes packet_message(const QueueMessage& message) {
  Bytes bytes;
  put32(bytes, 0);  // the length, below
  put16(bytes, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET);
  put16(bytes, 0);
  put32(bytes, 0);
  put32(bytes, 0);
  bytes.insert(bytes.end(), {2, 0, 0, 0});  // IPv4, version, queue 0
  Bytes header = big_endian(message.id);
  header.insert(header.end(), {0x08, 0x00, message.hook});
  put_attribute(bytes, NFQA_PACKET_HDR, header);
  put_attribute(bytes, NFQA_IFINDEX_INDEV, big_endian(3));
  if (message.fwmark) put_attribute(bytes, NFQA_MARK, big_endian(*message.fwmark));
  if (message.cap_len) put_attribute(bytes, NFQA_CAP_LEN, big_endian(*message.cap_len));
  if (message.skb_info) put_attribute(bytes, NFQA_SKB_INFO, big_endian(*message.skb_info));
  put_attribute(bytes, NFQA_PAYLOAD, message.packet);
  const auto size = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &size, sizeof size);
  pad(bytes);
  return bytes;
}

Bytes error_message(int error) {
  Bytes bytes;
  put32(bytes, 36);
  put16(bytes, NLMSG_ERROR);
  put16(bytes, 0);
  put32(bytes, 0);
  put32(bytes, 0);
  put32(bytes, static_cast<std::uint32_t>(error));
  bytes.resize(36);
  return bytes;
}

int Kernel::send(std::span<iovec> pieces) {
  Bytes datagram;
  for (const iovec& piece : pieces) {
    const auto* start = static_cast<const std::uint8_t*>(piece.iov_base);
    datagram.insert(datagram.end(), start, start + piece.iov_len);
  }
  std::vector<SentVerdict> sent;
  for (std::size_t at = 0; at < datagram.size();) {
    const std::size_t size = get32(datagram, at);
    REQUIRE_GE(size, 16);
    REQUIRE_LE(at + size, datagram.size());
    sent.push_back(read_verdict(View(datagram).subspan(at, size)));
    at += (size + 3) / 4 * 4;
  }
  if (refuses) {
    if (const int error = refuses(datagram.size(), sent.size())) return error;
  }
  datagram_sizes.push_back(datagram.size());
  verdicts.insert(verdicts.end(), sent.begin(), sent.end());
  return 0;
}

}  // namespace swnat::test
