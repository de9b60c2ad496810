// What was translated, counted.
//
// A packet counts for the session that translated it, and for its namespace, with the total length
// of its IP packet, which is the same on both sides of the NAT; bytes behind that do not count.
// Segments that are still joined (ChecksumState::segmented) are one packet, as they come. A packet
// between two namespaces, or from one to itself, counts outbound for the sender's session and
// inbound for the receiver's; one that the receiver's NAT refuses counts for the sender's all the
// same, as if it had been sent to another NAT. ICMP errors about a session count for nobody, and of
// a datagram in fragments the first one counts alone: the others never meet its session.
#pragma once

#include <cstdint>

namespace swnat {

struct Traffic {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;

  Traffic& operator+=(const Traffic& other) {
    packets += other.packets;
    bytes += other.bytes;
    return *this;
  }
  friend bool operator==(const Traffic&, const Traffic&) = default;
};

struct TwoWayTraffic {
  Traffic outbound;  // from the internal endpoint
  Traffic inbound;   // to it

  TwoWayTraffic& operator+=(const TwoWayTraffic& other) {
    outbound += other.outbound;
    inbound += other.inbound;
    return *this;
  }
  friend bool operator==(const TwoWayTraffic&, const TwoWayTraffic&) = default;
};

}  // namespace swnat
