// The external addresses of a family, and who has which of their ports.
//
// Thread-safe; the addresses and the range of ports are fixed.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "engine/family.h"
#include "engine/policy.h"
#include "engine/port_space.h"

namespace swnat {

template <class Family>
class Externals {
 public:
  using Address = typename Family::Address;

  Externals(const Policy& policy, std::uint32_t shards)
      : addresses_(Family::of(policy.external)), shards_(shards) {
    for (std::size_t i = 0; i < addresses_.size(); ++i) {
      for (const bool has_classes : {true, true, false}) {  // TCP, UDP, ICMP
        spaces_.emplace_back(policy.ports, shards, has_classes, &displaced_);
      }
    }
  }

  const std::vector<Address>& addresses() const { return addresses_; }
  bool contains(const Address& address) const {
    return std::ranges::find(addresses_, address) != addresses_.end();
  }

  void populate() {
    for (PortSpace& space : spaces_) space.populate();
  }

  // The address must be one of these, and the protocol one that has ports or identifiers.
  PortSpace& ports(const Address& address, std::uint8_t protocol) {
    const auto number =
        static_cast<std::size_t>(std::ranges::find(addresses_, address) - addresses_.begin());
    return spaces_[number * 3 + place_of(protocol)];
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
    const auto found = std::ranges::find(addresses_, address);
    if (found == addresses_.end()) return shard_of_port(port, shards_);
    const auto number = static_cast<std::size_t>(found - addresses_.begin());
    return spaces_[number * 3 + place_of(protocol)].shard_of(port);
  }

  static std::size_t place_of(std::uint8_t protocol) {
    return protocol == protocol::tcp ? 0 : protocol == protocol::udp ? 1 : 2;
  }

  std::vector<Address> addresses_;
  std::uint32_t shards_;
  std::atomic<std::uint32_t> displaced_{0};  // ports that are not with the shard of their bits
  std::deque<PortSpace> spaces_;             // for each address: TCP, UDP, ICMP
};

}  // namespace swnat
