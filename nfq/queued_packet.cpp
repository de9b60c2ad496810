#include "nfq/queued_packet.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstddef>

#include "engine/base/bytes.h"

namespace swnat::nfq {
namespace {

constexpr std::size_t headers_size = NLMSG_HDRLEN + sizeof(nfgenmsg);
constexpr std::size_t attribute_header_size = sizeof(nlattr);
constexpr std::uint16_t type_bits = 0x3fff;  // the others say nested and byte order

using Value = std::span<std::uint8_t>;

struct Attribute {
  std::uint16_t type;
  std::size_t least_size;
  void (*store)(QueuedPacket& packet, Value value);
};

constexpr Attribute attributes[] = {
    {NFQA_PACKET_HDR, sizeof(nfqnl_msg_packet_hdr),
     [](QueuedPacket& packet, Value value) {
       packet.id = load_be32(value.data() + offsetof(nfqnl_msg_packet_hdr, packet_id));
       packet.hook = value[offsetof(nfqnl_msg_packet_hdr, hook)];
     }},
    {NFQA_MARK, sizeof(std::uint32_t),
     [](QueuedPacket& packet, Value value) { packet.fwmark = load_be32(value.data()); }},
    {NFQA_CAP_LEN, sizeof(std::uint32_t),
     [](QueuedPacket& packet, Value value) { packet.captured_from = load_be32(value.data()); }},
    {NFQA_SKB_INFO, sizeof(std::uint32_t),
     [](QueuedPacket& packet, Value value) { packet.skb_info = load_be32(value.data()); }},
    {NFQA_PAYLOAD, 0, [](QueuedPacket& packet, Value value) { packet.bytes = value; }},
};

const Attribute* find(std::uint16_t type) {
  const auto* found = std::ranges::find(attributes, type, &Attribute::type);
  return found == std::end(attributes) ? nullptr : found;
}

// Stores the attributes that are known. False if they contradict the message's size.
bool read_attributes(Value rest, QueuedPacket& packet, bool& has_id) {
  while (rest.size() >= attribute_header_size) {
    const std::size_t size = load_wire<std::uint16_t>(rest.data());
    const auto type = static_cast<std::uint16_t>(
        load_wire<std::uint16_t>(rest.data() + sizeof(std::uint16_t)) & type_bits);
    if (size < attribute_header_size || size > rest.size()) return false;
    if (const Attribute* known = find(type)) {
      const Value value = rest.subspan(attribute_header_size, size - attribute_header_size);
      if (value.size() < known->least_size) return false;
      known->store(packet, value);
      has_id = has_id || type == NFQA_PACKET_HDR;
    }
    constexpr std::size_t alignment = NLA_ALIGNTO;
    const std::size_t aligned = (size + alignment - 1) / alignment * alignment;
    rest = rest.subspan(std::min(aligned, rest.size()));
  }
  return true;
}

}  // namespace

Decoding decode(std::span<std::uint8_t> message, QueuedPacket& packet) {
  packet = {};
  if (message.size() < headers_size) return Decoding::no_id;
  const bool is_whole = load_wire<std::uint32_t>(message.data()) <= message.size();
  bool has_id = false;
  const bool is_sound = read_attributes(message.subspan(headers_size), packet, has_id);
  if (!has_id) return Decoding::no_id;
  return is_whole && is_sound && !packet.bytes.empty() ? Decoding::complete : Decoding::only_id;
}

std::optional<Direction> direction_of(const QueuedPacket& packet, std::uint32_t fwmark_mask) {
  switch (packet.hook) {
    case NF_INET_PRE_ROUTING:
    case NF_INET_LOCAL_OUT:  // where the kernel routes again what has got another address
      return (packet.fwmark & fwmark_mask) == 0 ? Direction::inbound : Direction::hairpin;
    case NF_INET_FORWARD:
    case NF_INET_POST_ROUTING:
      return Direction::outbound;
    default:
      return std::nullopt;
  }
}

ChecksumState checksum_state_of(std::uint32_t skb_info) {
  if (skb_info & NFQA_SKB_GSO) return ChecksumState::segmented;
  if (skb_info & NFQA_SKB_CSUMNOTREADY) return ChecksumState::partial;
  return ChecksumState::complete;
}

}  // namespace swnat::nfq
