// Which external address an internal one has (RFC 4787 REQ-2): it follows from a hash, so that no
// table of internal addresses is needed, and from a key that outlives the process, so that it is
// the same after a restart.
//
// Rendezvous hashing: an internal address hashes to one of a fixed number of slots, and a slot
// belongs to the external address with the highest score there. So one that is added takes its part
// evenly from the others, one that goes leaves its part evenly to them, and nobody else moves; the
// order of the list does not matter. What that gives for the list of all is worked out once: then
// it costs a hash and a look at a byte, however many there are. For a namespace with a list of its
// own it is worked out each time, at about a nanosecond for each address on it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/hash.h"
#include "engine/wire/family.h"

namespace swnat {

template <class Family>
class Pairing {
 public:
  using Address = typename Family::Address;

  // `all` must outlive this.
  Pairing(std::span<const Address> all, const Secret& key) : all_(all), key_(key) {
    if (all.size() < 2) return;
    winners_.reserve(slots);
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
      winners_.push_back(static_cast<std::uint8_t>(winner(all, slot)));
    }
  }

  // One of `own`, or of all if that is empty; there must be one.
  const Address& of(const Address& internal, NamespaceId id, std::span<const Address> own) const {
    const std::span<const Address> list = own.empty() ? all_ : own;
    if (list.size() == 1) return list.front();
    const auto slot =
        static_cast<std::uint32_t>(Family::hash(internal, {}, id, key_) >> (64 - slot_bits));
    return list[own.empty() ? winners_[slot] : winner(own, slot)];
  }

 private:
  // With all 64 addresses each has its part to within a sixteenth or so.
  static constexpr int slot_bits = 14;
  static constexpr std::uint32_t slots = 1u << slot_bits;
  static_assert(external_addresses_max <= 0x100);

  // The place of the address with the highest score.
  std::size_t winner(std::span<const Address> list, std::uint32_t slot) const {
    std::size_t best = 0;
    std::uint64_t highest = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::uint64_t one = score(list[i], slot);
      if (i != 0 && one <= highest) continue;
      best = i;
      highest = one;
    }
    return best;
  }

  // Mixed twice: once would order neighbouring addresses nearly alike in all slots.
  std::uint64_t score(const Address& address, std::uint32_t slot) const {
    const std::uint64_t once = Family::hash(address, {}, slot, key_);
    return fold_multiply(once ^ key_[2], key_[3] | 1);
  }

  std::span<const Address> all_;
  Secret key_;
  std::vector<std::uint8_t> winners_;  // places in `all_`, by slot; none if there is no choice
};

}  // namespace swnat
