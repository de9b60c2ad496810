// The parse gate: the one place where a packet's bounds are checked. Whatever passes has whole,
// consistent headers; later stages rely on it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/family.h"
#include "engine/packet.h"
#include "engine/reason.h"
#include "engine/session.h"

namespace swnat {

// What the gate found. Offsets are from the first byte of the IP header.
template <class Family>
struct Parsed {
  typename Family::Address source;
  typename Family::Address destination;
  std::uint16_t source_port;       // ICMP echo request: the identifier; echo reply: 0
  std::uint16_t destination_port;  // ICMP echo reply: the identifier; echo request: 0
  std::uint16_t transport;         // offset of the transport header
  std::uint16_t transport_size;    // its header and payload; what its checksum covers
  std::uint8_t protocol;
  std::uint8_t tcp_flags;
  bool is_icmp_error;  // then the packet that it quotes says which session it belongs to

  // The packet as a leg, seen from the side it comes from.
  Leg<Family> leg_from_inside() const {
    return {source, destination, source_port, destination_port};
  }
  Leg<Family> leg_from_outside() const {
    return {destination, source, destination_port, source_port};
  }
};

// Nothing if the packet may go on, else why it is dropped. Bytes beyond the IP total length are
// ignored.
std::optional<Reason> parse(std::span<const std::uint8_t> bytes, Direction direction,
                            Parsed<Ipv4>& parsed);

}  // namespace swnat
