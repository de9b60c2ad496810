// A NAT as one would first write it: hash maps of the standard library, a mutex around all, and a
// packet at a time. It translates established sessions of UDP over IPv4 as the engine does, and
// nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "swnat/address.h"
#include "swnat/packet.h"
#include "tools/bench/scene.h"

namespace swnat::bench {

class MapNat {
 public:
  void add(const Flow<Ipv4>& flow);

  // Sets the verdict, and for inbound packets the receiver.
  void translate(Packet& packet, std::int64_t now);

 private:
  struct Key {
    NamespaceId namespace_id = 0;  // 0 outside
    Endpoint<Ipv4Address> local;
    Endpoint<Ipv4Address> remote;
    std::uint8_t protocol = 0;

    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Record {
    Flow<Ipv4> flow;
    std::int64_t last_active = 0;
  };
  using Map = std::unordered_map<Key, std::shared_ptr<Record>, Hash>;

  std::mutex mutex_;
  Map inside_;
  Map outside_;
};

}  // namespace swnat::bench
