// Packets between the receive buffer and their verdicts: decoded, translated together, answered.
// Fragments that the engine cannot judge yet are held, and translated again when it can.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "nfq/counters.h"
#include "nfq/held_fragments.h"
#include "nfq/icmp_answers.h"
#include "nfq/queued_packet.h"
#include "nfq/verdict_batch.h"
#include "swnat/engine.h"

namespace swnat::nfq {

class PacketBatch {
 public:
  static constexpr std::size_t capacity = 64;

  // `queue` names the queue in verdicts, `fwmark_mask` the bits of the fwmark that name a
  // namespace. ICMP answers to dropped packets leave by `answers`.
  PacketBatch(Engine& engine, QueueCounters& counters, std::uint16_t queue,
              std::uint32_t fwmark_mask, AnswerSink& answers)
      : engine_(engine),
        counters_(counters),
        fwmark_mask_(fwmark_mask),
        verdicts_(queue, counters),
        answers_(answers, counters) {}

  // Takes all messages of a datagram, whose bytes must stay in place until finish() returns.
  void take(std::span<std::uint8_t> datagram, VerdictSink& sink, Time now);

  // Every packet taken has its verdict afterwards, or is held. False if the sink refused some.
  bool finish(VerdictSink& sink, Time now);

  // Drops what has been held too long. False if the sink refused some.
  bool drop_overdue(VerdictSink& sink, Time now);
  // Drops all that is held, before the queue is given up.
  void drop_held(VerdictSink& sink);
  // The queue is lost, and the kernel has dropped what was held.
  void forget_held();

 private:
  void take_message(std::span<std::uint8_t> message, VerdictSink& sink, Time now);
  void take_packet(std::span<std::uint8_t> message, VerdictSink& sink, Time now);
  void add(const QueuedPacket& queued, Direction direction);
  void translate(VerdictSink& sink, Time now);
  void translate_taken(VerdictSink& sink, Time now);
  void answer(const QueuedPacket& queued, const Packet& packet, VerdictSink& sink, Time now);
  void make_room(std::size_t size, VerdictSink& sink);
  void drop(std::uint32_t id, VerdictSink& sink);

  Engine& engine_;
  QueueCounters& counters_;
  std::uint32_t fwmark_mask_;
  VerdictBatch verdicts_;
  IcmpAnswers answers_;
  HeldFragments held_;
  std::array<QueuedPacket, capacity> queued_;
  std::array<Packet, capacity> packets_;
  std::size_t count_ = 0;
  bool complete_ = true;
};

}  // namespace swnat::nfq
