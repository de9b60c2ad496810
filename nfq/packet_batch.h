// Packets between the receive buffer and their verdicts: decoded, translated together, answered.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engine/engine.h"
#include "nfq/counters.h"
#include "nfq/queued_packet.h"
#include "nfq/verdict_batch.h"

namespace swnat::nfq {

class PacketBatch {
 public:
  static constexpr std::size_t capacity = 64;

  // `queue` names the queue in verdicts, `fwmark_mask` the bits of the fwmark that name a
  // namespace.
  PacketBatch(Engine& engine, QueueCounters& counters, std::uint16_t queue,
              std::uint32_t fwmark_mask)
      : engine_(engine),
        counters_(counters),
        fwmark_mask_(fwmark_mask),
        verdicts_(queue, counters) {}

  // Takes all messages of a datagram, whose bytes must stay in place until finish() returns.
  void take(std::span<std::uint8_t> datagram, VerdictSink& sink, Time now);

  // Every packet taken has its verdict afterwards. False if the sink refused some.
  bool finish(VerdictSink& sink, Time now);

 private:
  void take_message(std::span<std::uint8_t> message, VerdictSink& sink, Time now);
  void take_packet(std::span<std::uint8_t> message, VerdictSink& sink, Time now);
  void translate(VerdictSink& sink, Time now);
  void answer(const QueuedPacket& queued, const Packet& packet, VerdictSink& sink);
  void make_room(std::size_t size, VerdictSink& sink);
  void drop(std::uint32_t id, VerdictSink& sink);

  Engine& engine_;
  QueueCounters& counters_;
  std::uint32_t fwmark_mask_;
  VerdictBatch verdicts_;
  std::array<QueuedPacket, capacity> queued_;
  std::array<Packet, capacity> packets_;
  std::size_t count_ = 0;
  bool complete_ = true;
};

}  // namespace swnat::nfq
