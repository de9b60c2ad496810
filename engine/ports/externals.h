// The external addresses of a family, and who has which of their ports.
//
// Thread-safe; the addresses and the range of ports are fixed.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "engine/base/hash.h"
#include "engine/ports/pairing.h"
#include "engine/ports/port_blocks.h"
#include "engine/ports/port_space.h"
#include "engine/wire/family.h"
#include "swnat/policy.h"

namespace swnat {

template <class Family>
class Externals {
 public:
  using Address = typename Family::Address;

  // `block_events`: what becomes of port blocks; it must outlive this.
  Externals(const Policy& policy, std::uint32_t shards, const Secret& pairing_key,
            SharedEventOutlet& block_events)
      : addresses_(Family::of(policy.external)),
        pairing_(addresses_, pairing_key),
        shards_(shards) {
    numbers_.fill(nowhere);
    for (std::size_t i = 0; i < addresses_.size(); ++i) {
      std::size_t slot = first_slot_of(addresses_[i]);
      while (numbers_[slot] != nowhere) slot = (slot + 1) % slots;
      numbers_[slot] = static_cast<std::uint8_t>(i);
      for (const bool has_classes : {true, true, false}) {  // TCP, UDP, ICMP
        spaces_.emplace_back(policy.ports, shards, has_classes, &displaced_);
      }
      if (!policy.has_port_blocks()) continue;
      const std::size_t first = spaces_.size() - 3;
      blocks_.emplace_back(
          policy, shards, addresses_[i],
          PortBlocks::Spaces{&spaces_[first], &spaces_[first + 1], &spaces_[first + 2]},
          block_events);
    }
  }

  const std::vector<Address>& addresses() const { return addresses_; }
  bool contains(const Address& address) const { return number_of(address) != nowhere; }

  // The one that an internal address has: one of its namespace's own, if that has any.
  const Address& paired(const Address& internal, NamespaceId id,
                        const NamespacePolicy& policy) const {
    return pairing_.of(internal, id, Family::of(policy.external));
  }

  // TCP's or UDP's, of all addresses.
  void withhold(std::uint8_t protocol, std::uint16_t port, bool is_withheld) {
    for (const Address& address : addresses_) ports(address, protocol).withhold(port, is_withheld);
    for (PortBlocks& blocks : blocks_) blocks.withheld_changed(space_index(protocol), port);
  }

  void populate() {
    for (PortSpace& space : spaces_) space.populate();
    for (PortBlocks& blocks : blocks_) blocks.populate();
  }

  // Gives up the blocks that have rested, of a shard's part of the addresses.
  void expire_blocks(std::uint32_t shard, Tick now) {
    for (std::size_t i = shard; i < blocks_.size(); i += shards_) blocks_[i].expire(now);
  }

  // The address must be one of these, and the protocol one that has ports or identifiers. Forced
  // inline: else a new session costs a fiftieth more instructions, for its calls.
  [[gnu::always_inline]] PortSpace& ports(const Address& address, std::uint8_t protocol) {
    return spaces_[number_of(address) * 3 + space_index(protocol)];
  }
  const PortSpace& ports(const Address& address, std::uint8_t protocol) const {
    return spaces_[number_of(address) * 3 + space_index(protocol)];
  }

  // Whether ports are handed out in blocks; then those of an address.
  bool has_blocks() const { return !blocks_.empty(); }
  PortBlocks& blocks(const Address& address) { return blocks_[number_of(address)]; }
  const std::deque<PortBlocks>& blocks() const { return blocks_; }  // as addresses() are
  std::deque<PortBlocks>& blocks() { return blocks_; }
  // In PortBlocks::Spaces.
  static std::size_t space_index(std::uint8_t protocol) {
    return protocol == protocol::tcp ? 0 : protocol == protocol::udp ? 1 : 2;
  }

  // The shard that has the sessions of an external endpoint, whatever the address. Mostly the port
  // alone tells it; whoever misses one that was displaced this moment is one moment earlier.
  std::uint32_t shard_of(const Address& address, std::uint8_t protocol, std::uint16_t port) const {
    if (displaced_.load(std::memory_order_relaxed) == 0) return shard_of_port(port, shards_);
    return owner_of(address, protocol, port);
  }

 private:
  std::uint32_t owner_of(const Address& address, std::uint8_t protocol, std::uint16_t port) const {
    if (protocol::is_portless(protocol)) return shard_of_port(port, shards_);
    const std::size_t number = number_of(address);
    if (number == nowhere) return shard_of_port(port, shards_);
    return spaces_[number * 3 + space_index(protocol)].shard_of(port);
  }

  // Open addressing, a quarter full at most.
  static constexpr std::size_t slots = 4 * external_addresses_max;
  static constexpr std::uint8_t nowhere = 0xff;
  static_assert(external_addresses_max < nowhere);

  static std::size_t first_slot_of(const Address& address) {
    constexpr Secret keys = keys_from({});
    return Family::hash(address, {}, 0, keys) % slots;
  }
  // Of the first one that is the address, or `nowhere`.
  std::size_t number_of(const Address& address) const {
    std::size_t slot = first_slot_of(address);
    while (numbers_[slot] != nowhere && addresses_[numbers_[slot]] != address) {
      slot = (slot + 1) % slots;
    }
    return numbers_[slot];
  }

  std::vector<Address> addresses_;
  Pairing<Family> pairing_;
  std::array<std::uint8_t, slots> numbers_;  // places in `addresses_`, by hash
  std::uint32_t shards_;
  std::atomic<std::uint32_t> displaced_{0};  // ports that are not with the shard of their bits
  std::deque<PortSpace> spaces_;             // for each address: TCP, UDP, ICMP
  std::deque<PortBlocks> blocks_;            // for each address, or none
};

}  // namespace swnat
