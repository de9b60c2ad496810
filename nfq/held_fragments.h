// Fragments that came before the first one of their datagram, kept until that has been translated.
//
// Theory of operation
//
// The engine keeps no bytes: of a fragment that it cannot know yet it says "hold". The packet is
// copied here, without a verdict, and its slot in the kernel's queue stays taken meanwhile. When
// the first fragment of its datagram has been translated it is released: given out in the order of
// arrival, to be translated like a packet that has just come. If that does not happen in time, or
// there are too many, it is dropped.
//
// Whose packet goes when there is no more room is decided as in the fragment table (Shares): the
// outside and the namespaces have rooms of their own; a namespace that has its full share loses its
// own oldest packet; if all is full, the namespace that has most does.
//
// Every packet has exactly one verdict, so every packet in here is owed one, by whom is never in
// doubt:
//  - hold() takes the duty over, in every case. What it does not keep, or no longer, it tells
//  `drop`.
//  - next_released() gives it back, for one packet, which then is as if just received.
//  - all other packets that leave are told to `drop`, by hold(), expire() or drain(); only
//    abandon() leaves them to the kernel, for when the queue itself is gone.
// A packet is held once. What comes to hold() again after its release is dropped, so nobody can
// keep a packet waiting beyond its time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "engine/base/list.h"
#include "engine/base/memory.h"
#include "engine/base/shares.h"
#include "nfq/queued_packet.h"
#include "swnat/engine.h"

namespace swnat::nfq {

// Each at least 1. A datagram of 65,535 bytes has 45 fragments on an Ethernet. Together this is a
// small part of a queue's `max_packets`.
struct HeldLimits {
  std::uint32_t outside = 256;       // packets from outside
  std::uint32_t namespaces = 512;    // packets of all namespaces together
  std::uint32_t per_namespace = 64;  // packets of one namespace
  std::uint32_t bytes = 65'535;      // of one packet; longer ones are not held
};

// One for each worker; not thread-safe. Nothing is allocated after construction: address space is
// reserved for the greatest number of packets of the greatest size, and memory is touched as far as
// packets fill it, in the places used last.
class HeldFragments {
 public:
  // How long a packet waits. Fragments are out of order by as much as the paths of a network
  // differ, which is far below a second; and after about a second a sender that hears nothing sends
  // the whole datagram again (RFC 6298 section 2).
  static constexpr Time longest{1000};
  // How many packets may come to be held while bytes that were given out still have to stay: what
  // one batch has. Beyond it packets are dropped instead.
  static constexpr std::uint32_t spare = 64;

  explicit HeldFragments(const HeldLimits& limits = {});

  // With the usual limits: what is reserved, and what fragments fill that came over a network with
  // frames of up to 8 KB.
  static constexpr std::size_t packets_max = HeldLimits{}.outside + HeldLimits{}.namespaces + spare;
  static constexpr std::size_t memory_reserved = packets_max * (HeldLimits{}.bytes + 1);
  static constexpr std::size_t memory_used = packets_max * 8192;

  // The packet waits for the first fragment of `datagram`, a keyed hash of what the fragments have
  // in common. `drop` is called with the id of each packet that must be dropped now, this one
  // perhaps. `namespace_id` is the sender's, 0 from outside.
  template <class Drop>
  void hold(std::uint64_t datagram, const QueuedPacket& queued, NamespaceId namespace_id, Time now,
            Drop&& drop) {
    if (!can_hold(queued)) {
      drop(queued.id);
      return;
    }
    if (const auto id = make_room(namespace_id)) drop(*id);
    if (!keep(datagram, queued, namespace_id, now)) drop(queued.id);
  }

  // The first fragment has been translated: all that waited for it come out of next_released().
  void release(std::uint64_t datagram);

  // The caller now owes the verdict. The bytes stay in place, writable and with three more behind
  // them, until recycle().
  std::optional<QueuedPacket> next_released();

  // The verdicts of all that next_released() gave are sent: their bytes are no longer needed.
  void recycle();

  // Drops what has been here too long, released or not.
  template <class Drop>
  void expire(Time now, Drop&& drop) {
    while (const auto id = take_expired(now)) drop(*id);
  }

  // Drops all, before a queue is given up that still works.
  template <class Drop>
  void drain(Drop&& drop) {
    while (const auto id = take_any()) drop(*id);
  }

  // The queue is gone and the kernel has dropped its packets. Their ids will name others. Returns
  // how many packets this were.
  [[nodiscard]] std::uint32_t abandon();

  // Packets that are owed a verdict from here.
  std::uint32_t count() const { return count_; }

 private:
  using Slot = Shares::Item;
  static constexpr Slot none = Shares::none;

  struct Held {
    QueuedPacket queued;  // its bytes are the slot's
    NamespaceId namespace_id;
    Time since;
    bool is_released;
    Link place;  // in free_, released_ or handed_ out
  };

  bool can_hold(const QueuedPacket& queued) const;
  std::optional<std::uint32_t> make_room(NamespaceId namespace_id);
  bool keep(std::uint64_t datagram, const QueuedPacket& queued, NamespaceId namespace_id, Time now);
  std::optional<std::uint32_t> take_expired(Time now);
  std::optional<std::uint32_t> take_any();

  Shares& side(NamespaceId namespace_id) { return namespace_id == 0 ? outside_ : namespaces_; }
  void stop_waiting(Slot slot);
  std::uint32_t take(Slot slot);
  std::uint8_t* memory_of(Slot slot) { return memory_.get() + slot * slot_size_; }

  std::uint32_t bytes_max_;
  std::uint32_t slots_;
  std::size_t slot_size_;
  std::unique_ptr<std::uint8_t[]> memory_;
  ReservedArray<Held> held_;
  // Waiting packets, by whose they are and by what they wait for.
  Shares outside_;
  Shares namespaces_;
  Shares datagrams_;
  // Slots that are not waiting.
  ListEnds free_;      // the one used last is the first
  ListEnds released_;  // in the order in which they are given out
  ListEnds handed_;
  std::uint32_t count_ = 0;
};

}  // namespace swnat::nfq
