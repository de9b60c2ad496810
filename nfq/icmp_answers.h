// Tells the senders of packets for which no session could be made, by ICMP (RFC 5508 REQ-8).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "nfq/answer_rate.h"
#include "nfq/counters.h"
#include "swnat/engine.h"

namespace swnat::nfq {

class AnswerSink {
 public:
  // Sends an IP packet whose source address is zero, which whoever sends it sets. It goes where
  // packets with this fwmark go. False if it cannot be sent now.
  virtual bool send(std::span<const std::uint8_t> answer, std::uint32_t fwmark) = 0;

 protected:
  ~AnswerSink() = default;
};

// One for each worker; not thread-safe.
class IcmpAnswers {
 public:
  // Of one worker. A program that is refused tries a few times, then asks its user.
  static constexpr ShareLimits per_second{.all = 1000, .each = 10};

  IcmpAnswers(AnswerSink& sink, QueueCounters& counters) : sink_(sink), counters_(counters) {}

  // Answers a dropped packet if its sender should know why it was dropped. Either the answer is
  // sent or it is counted as suppressed. `fwmark` is the packet's.
  void consider(const Packet& dropped, std::uint32_t fwmark, Time now);

 private:
  std::size_t write(std::span<const std::uint8_t> packet);

  AnswerSink& sink_;
  QueueCounters& counters_;
  AnswerRate rate_{per_second};
  std::array<std::uint8_t, ipv6_answer_max> answer_;
};

}  // namespace swnat::nfq
