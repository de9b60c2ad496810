// Queue messages as the kernel writes them, and verdicts as it reads them, in code of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "nfq/verdict_batch.h"
#include "tests/support/packets.h"

namespace swnat::test {

struct QueueMessage {
  std::uint32_t id = 1;
  std::uint8_t hook = 4;  // POST_ROUTING
  std::optional<std::uint32_t> fwmark = {};
  std::optional<std::uint32_t> skb_info = {};
  std::optional<std::uint32_t> cap_len = {};
  Bytes packet;
};

// One netlink message, padded to its alignment.
Bytes packet_message(const QueueMessage& message);
// NLMSG_ERROR; 0 is an acknowledgement.
Bytes error_message(int error);

inline constexpr std::uint32_t drop_verdict = 0;
inline constexpr std::uint32_t accept_verdict = 1;

struct SentVerdict {
  std::uint16_t queue = 0;
  std::uint32_t verdict = 0;
  std::uint32_t id = 0;
  std::optional<std::uint32_t> fwmark = {};
  std::optional<Bytes> packet = {};

  friend bool operator==(const SentVerdict&, const SentVerdict&) = default;
};

// Takes datagrams of verdicts as the kernel does, and can be told to refuse them.
class Kernel final : public nfq::VerdictSink {
 public:
  int send(std::span<iovec> pieces) override;

  // Called with each datagram's size and number of verdicts; returns an errno, or 0 to take it.
  std::function<int(std::size_t size, std::size_t verdicts)> refuses;
  std::vector<SentVerdict> verdicts;        // those that were taken, in order
  std::vector<std::size_t> datagram_sizes;  // those that were taken
};

}  // namespace swnat::test
