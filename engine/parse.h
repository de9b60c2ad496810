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

// Which part of its datagram a packet is, as its IP header says.
struct Piece {
  std::uint32_t identification = 0;  // IPv6: 0 without a fragment header
  std::uint16_t offset = 0;          // in bytes
  bool more = false;

  bool is_first() const { return offset == 0 && more; }
  bool is_later() const { return offset != 0; }
  bool is_fragment() const { return offset != 0 || more; }
};

// What the gate found. Offsets are from the first byte of the IP header.
template <class Family>
struct Parsed {
  typename Family::Address source;
  typename Family::Address destination;
  std::uint16_t source_port;       // ICMP echo request: the identifier; echo reply: 0
  std::uint16_t destination_port;  // ICMP echo reply: the identifier; echo request: 0
  std::uint16_t transport;         // offset of the transport header
  std::uint16_t transport_size;    // its header and payload; what its checksum covers
  std::uint16_t identification;    // offset of this field; 0 where there is none
  std::uint8_t protocol;
  std::uint8_t tcp_flags;
  bool is_icmp_error;      // then the packet that it quotes says which session it belongs to
  bool may_be_fragmented;  // IPv4: "don't fragment" is not set (RFC 6864: not atomic)
  Piece piece;             // a later fragment has no ports and nothing of a transport header

  // The packet as a leg, seen from the side it comes from.
  Leg<Family> leg_from_inside() const {
    return {source, destination, source_port, destination_port};
  }
  Leg<Family> leg_from_outside() const {
    return {destination, source, destination_port, source_port};
  }
};

// Nothing if the packet may go on, else why it is dropped. Bytes beyond the length that the IP
// header says are ignored.
template <class Family>
std::optional<Reason> parse(std::span<const std::uint8_t> bytes, Direction direction,
                            Parsed<Family>& parsed);

// 4 or 6, or what else stands in the first bits; 0 for no bytes.
inline std::uint8_t ip_version(std::span<const std::uint8_t> bytes) {
  return bytes.empty() ? 0 : bytes[0] >> 4;
}

// Reads addresses, protocol, fragment and where the transport begins from an IP header of which
// `available` bytes are there, whatever its length field says: also of a quoted packet, which is
// cut. `parsed.transport_size` is what is there of the transport.
template <class Family>
std::optional<Reason> parse_network(std::span<const std::uint8_t> available,
                                    Parsed<Family>& parsed);

extern template std::optional<Reason> parse(std::span<const std::uint8_t>, Direction,
                                            Parsed<Ipv4>&);
extern template std::optional<Reason> parse(std::span<const std::uint8_t>, Direction,
                                            Parsed<Ipv6>&);

}  // namespace swnat
