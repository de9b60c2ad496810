#include "nfq/packet_batch.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "engine/base/bytes.h"

namespace swnat::nfq {
namespace {

constexpr std::uint16_t packet_message = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET;

static_assert(PacketBatch::capacity <= HeldFragments::spare,
              "a batch of held packets stays in place");

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
  add(queued, *direction);
}

void PacketBatch::add(const QueuedPacket& queued, Direction direction) {
  packets_[count_++] = {.bytes = queued.bytes,
                        .namespace_id = queued.fwmark & fwmark_mask_,
                        .direction = direction,
                        .checksum = checksum_state_of(queued.skb_info)};
}

bool PacketBatch::finish(VerdictSink& sink, Time now) {
  translate(sink, now);
  complete_ = verdicts_.flush(sink) && complete_;
  held_.recycle();
  return std::exchange(complete_, true);
}

bool PacketBatch::drop_overdue(VerdictSink& sink, Time now) {
  if (held_.count() == 0) return true;
  held_.expire(now, [&](std::uint32_t id) {
    counters_.add(QueueCounter::overdue);
    drop(id, sink);
  });
  return finish(sink, now);
}

void PacketBatch::drop_held(VerdictSink& sink) {
  held_.drain([&](std::uint32_t id) { drop(id, sink); });
  verdicts_.flush(sink);
}

void PacketBatch::forget_held() {
  counters_.add(QueueCounter::dropped, held_.abandon());
}

// Also what was held until now for one of these packets.
void PacketBatch::translate(VerdictSink& sink, Time now) {
  translate_taken(sink, now);
  while (auto released = held_.next_released()) {
    do {
      queued_[count_] = *released;
      add(*released, *direction_of(*released, fwmark_mask_));
    } while (count_ < capacity && (released = held_.next_released()));
    translate_taken(sink, now);
  }
}

void PacketBatch::translate_taken(VerdictSink& sink, Time now) {
  engine_.translate(std::span(packets_).first(count_), now);
  for (std::size_t i = 0; i < count_; ++i) answer(queued_[i], packets_[i], sink, now);
  count_ = 0;
}

void PacketBatch::answer(const QueuedPacket& queued, const Packet& packet, VerdictSink& sink,
                         Time now) {
  if (packet.verdict() == Verdict::hold) {
    const NamespaceId sender =
        packet.direction == Direction::inbound ? 0 : queued.fwmark & fwmark_mask_;
    held_.hold(packet.datagram, queued, sender, now, [&](std::uint32_t id) {
      counters_.add(QueueCounter::overdue);
      drop(id, sink);
    });
    return;
  }
  if (packet.datagram != 0) held_.release(packet.datagram);
  if (packet.verdict() == Verdict::pass) {
    make_room(0, sink);
    verdicts_.pass(queued.id);
    return;
  }
  if (packet.verdict() == Verdict::drop) {
    answers_.consider(packet, queued.fwmark, now);
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
