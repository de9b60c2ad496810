#include "nfq/packet_batch.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "engine/bytes.h"

namespace swnat::nfq {
namespace {

constexpr std::uint16_t packet_message = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET;

}  // namespace

void PacketBatch::take(std::span<std::uint8_t> datagram, VerdictSink& sink, Time now) {
  while (datagram.size() >= NLMSG_HDRLEN) {
    const std::size_t promised = load_wire<std::uint32_t>(datagram.data());
    if (promised < NLMSG_HDRLEN) {
      counters_.add(QueueCounter::netlink_errors);
      return;
    }
    const std::size_t size = std::min(promised, datagram.size());
    take_message(datagram.first(size), sink, now);
    datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(size), datagram.size()));
  }
}

void PacketBatch::take_message(std::span<std::uint8_t> message, VerdictSink& sink, Time now) {
  switch (load_wire<std::uint16_t>(message.data() + offsetof(nlmsghdr, nlmsg_type))) {
    case packet_message:
      take_packet(message, sink, now);
      return;
    case NLMSG_ERROR:
      // An error of 0 is an acknowledgement.
      if (message.size() < NLMSG_HDRLEN + sizeof(int) ||
          load_wire<std::int32_t>(message.data() + NLMSG_HDRLEN) != 0) {
        counters_.add(QueueCounter::netlink_errors);
      }
      return;
    default:
      return;
  }
}

void PacketBatch::take_packet(std::span<std::uint8_t> message, VerdictSink& sink, Time now) {
  if (count_ == capacity) translate(sink, now);
  QueuedPacket& queued = queued_[count_];
  const Decoding decoding = decode(message, queued);
  if (decoding == Decoding::no_id) {
    counters_.add(QueueCounter::netlink_errors);
    return;
  }
  counters_.add(QueueCounter::received);
  if (decoding == Decoding::only_id) {
    counters_.add(QueueCounter::malformed);
    drop(queued.id, sink);
    return;
  }
  if (queued.is_cut()) {
    counters_.add(QueueCounter::truncated);
    drop(queued.id, sink);
    return;
  }
  const auto direction = direction_of(queued, fwmark_mask_);
  if (!direction) {
    counters_.add(QueueCounter::wrong_hook);
    drop(queued.id, sink);
    return;
  }
  packets_[count_++] = {.bytes = queued.bytes,
                        .namespace_id = queued.fwmark & fwmark_mask_,
                        .direction = *direction,
                        .checksum = checksum_state_of(queued.skb_info)};
}

bool PacketBatch::finish(VerdictSink& sink, Time now) {
  translate(sink, now);
  complete_ = verdicts_.flush(sink) && complete_;
  return std::exchange(complete_, true);
}

void PacketBatch::translate(VerdictSink& sink, Time now) {
  engine_.translate(std::span(packets_).first(count_), now);
  for (std::size_t i = 0; i < count_; ++i) answer(queued_[i], packets_[i], sink);
  count_ = 0;
}

void PacketBatch::answer(const QueuedPacket& queued, const Packet& packet, VerdictSink& sink) {
  if (packet.verdict() == Verdict::drop) {
    drop(queued.id, sink);
    return;
  }
  std::optional<std::uint32_t> fwmark;
  if (packet.direction != Direction::outbound) {
    const std::uint32_t merged = (queued.fwmark & ~fwmark_mask_) | packet.namespace_id;
    if (merged != queued.fwmark) fwmark = merged;
  }
  make_room(packet.bytes.size(), sink);
  verdicts_.accept(queued.id, packet.bytes, fwmark);
}

void PacketBatch::make_room(std::size_t size, VerdictSink& sink) {
  if (verdicts_.is_full(size)) complete_ = verdicts_.flush(sink) && complete_;
}

void PacketBatch::drop(std::uint32_t id, VerdictSink& sink) {
  make_room(0, sink);
  verdicts_.drop(id);
}

}  // namespace swnat::nfq
