#include "nfq/held_fragments.h"

#include <algorithm>
#include <functional>

namespace swnat::nfq {
namespace {

// A verdict is sent with up to three bytes behind the packet.
constexpr std::size_t verdict_padding = 4;

}  // namespace

HeldFragments::HeldFragments(const HeldLimits& limits)
    : bytes_max_(limits.bytes),
      slots_(limits.outside + limits.namespaces + spare),
      slot_size_(limits.bytes + verdict_padding),
      memory_(std::make_unique_for_overwrite<std::uint8_t[]>(slots_ * slot_size_)),
      held_(slots_),
      outside_(slots_, {limits.outside, limits.outside}),
      namespaces_(slots_, {limits.namespaces, limits.per_namespace}),
      datagrams_(slots_, {slots_, slots_}) {
  for (Slot slot = 0; slot < slots_; ++slot) List<&Held::place>::append(held_, free_, slot);
}

// Not what is too long, and not what was held already: bytes that lie here were given out.
bool HeldFragments::can_hold(const QueuedPacket& queued) const {
  const std::uint8_t* begin = memory_.get();
  const std::uint8_t* end = begin + slots_ * slot_size_;
  const std::uint8_t* bytes = queued.bytes.data();
  const bool is_here = std::less_equal<>{}(begin, bytes) && std::less<>{}(bytes, end);
  return !is_here && queued.bytes.size() <= bytes_max_;
}

std::optional<std::uint32_t> HeldFragments::make_room(NamespaceId namespace_id) {
  const Slot displaced = side(namespace_id).displaced_by(namespace_id);
  if (displaced == none) return std::nullopt;
  return take(displaced);
}

// False if no slot is free: too many are handed out.
bool HeldFragments::keep(std::uint64_t datagram, const QueuedPacket& queued,
                         NamespaceId namespace_id, Time now) {
  const Slot slot = free_.first();
  if (slot == none) return false;
  List<&Held::place>::remove(held_, free_, slot);
  Held& held = held_[slot];
  held = {.queued = queued,
          .namespace_id = namespace_id,
          .since = now,
          .is_released = false,
          .place = {}};
  held.queued.bytes = {memory_of(slot), queued.bytes.size()};
  std::ranges::copy(queued.bytes, memory_of(slot));
  side(namespace_id).add(slot, namespace_id);
  datagrams_.add(slot, datagram);
  ++count_;
  return true;
}

void HeldFragments::release(std::uint64_t datagram) {
  for (Slot slot; (slot = datagrams_.oldest(datagram)) != none;) {
    stop_waiting(slot);
    held_[slot].is_released = true;
    List<&Held::place>::append(held_, released_, slot);
  }
}

std::optional<QueuedPacket> HeldFragments::next_released() {
  const Slot slot = released_.first();
  if (slot == none) return std::nullopt;
  List<&Held::place>::remove(held_, released_, slot);
  List<&Held::place>::append(held_, handed_, slot);
  --count_;
  return held_[slot].queued;
}

void HeldFragments::recycle() {
  for (Slot slot; (slot = handed_.first()) != none;) {
    List<&Held::place>::remove(held_, handed_, slot);
    List<&Held::place>::insert_after(held_, free_, slot, none);
  }
}

std::optional<std::uint32_t> HeldFragments::take_expired(Time now) {
  for (const Slot slot : {released_.first(), outside_.oldest(), namespaces_.oldest()}) {
    if (slot != none && now - held_[slot].since >= longest) return take(slot);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> HeldFragments::take_any() {
  const Slot slot = released_.first() != none ? released_.first() : datagrams_.oldest();
  if (slot == none) return std::nullopt;
  return take(slot);
}

std::uint32_t HeldFragments::abandon() {
  std::uint32_t packets = 0;
  while (take_any()) ++packets;
  return packets;
}

void HeldFragments::stop_waiting(Slot slot) {
  side(held_[slot].namespace_id).remove(slot);
  datagrams_.remove(slot);
}

// Whoever gets the id drops the packet.
std::uint32_t HeldFragments::take(Slot slot) {
  if (held_[slot].is_released) {
    List<&Held::place>::remove(held_, released_, slot);
  } else {
    stop_waiting(slot);
  }
  List<&Held::place>::insert_after(held_, free_, slot, none);
  --count_;
  return held_[slot].queued.id;
}

}  // namespace swnat::nfq
