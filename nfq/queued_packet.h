// One packet as the kernel's queue message describes it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "swnat/packet.h"

namespace swnat::nfq {

struct QueuedPacket {
  std::uint32_t id = 0;  // names the packet in its verdict
  std::uint8_t hook = 0;
  std::uint32_t fwmark = 0;
  std::uint32_t skb_info = 0;       // NFQA_SKB_… flags
  std::uint32_t captured_from = 0;  // the packet's whole length if it was cut, else 0
  std::span<std::uint8_t> bytes;    // in the receive buffer

  bool is_cut() const { return captured_from > bytes.size(); }
};

enum class Decoding : std::uint8_t {
  complete,
  only_id,  // damaged, but its id is known, so that it can be dropped
  no_id,
};

// Reads a netlink message of type NFQNL_MSG_PACKET, its header included. A message that promises
// more than `message` has is damaged.
Decoding decode(std::span<std::uint8_t> message, QueuedPacket& packet);

// The hook tells the direction: behind routing packets leave; before it, and from the gateway
// itself, they come in, unless they have a namespace's fwmark already. Nothing for hooks where the
// NAT translates nothing.
std::optional<Direction> direction_of(const QueuedPacket& packet, std::uint32_t fwmark_mask);

ChecksumState checksum_state_of(std::uint32_t skb_info);

}  // namespace swnat::nfq
