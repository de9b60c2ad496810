// Writing a session's other leg into a packet, with its checksums. What nearly every packet needs
// is inline, for the batch's loop.
#pragma once

#include <cassert>

#include "engine/base/bytes.h"
#include "engine/wire/checksum.h"
#include "engine/wire/headers.h"
#include "engine/wire/parse.h"
#include "swnat/packet.h"

namespace swnat {

// What one direction writes into the packet, and by how much its sums change.
template <class Family>
struct Rewrite {
  typename Family::Address source;
  typename Family::Address destination;
  std::uint16_t source_port;
  std::uint16_t destination_port;
  ChecksumDelta address_delta;
  ChecksumDelta transport_delta;
};

// `parsed` is what the gate found in `packet`, which is no later fragment.
template <class Family>
void rewrite_packet(const Rewrite<Family>& rewrite, const Parsed<Family>& parsed, Packet& packet);

// The pieces it is made of. `field` is a checksum field, or its offset.
void write_full_sum(std::uint8_t* transport, std::size_t field, std::uint64_t pseudo_header,
                    std::uint16_t size);
// The sum of a packet that its sender left to be finished, when all else is rewritten.
template <class Family>
void write_unfinished_sum(const Parsed<Family>& parsed, const Packet& packet,
                          ChecksumDelta address_delta);
// The identification, which is at this offset; for IPv4 only its low 16 bits.
template <class Family>
void write_identification(std::uint8_t* ip, std::size_t offset, std::uint32_t identification);

inline void update_field(std::uint8_t* field, ChecksumDelta delta) {
  store_wire(field, updated(load_wire<std::uint16_t>(field), delta));
}

// RFC 768: a sum of zero is sent as all ones, because zero means that there is none.
inline void avoid_zero(std::uint8_t* field) {
  if (load_wire<std::uint16_t>(field) == 0) store_wire(field, std::uint16_t{0xffff});
}

// The checksum field of a whole sum.
inline void update_transport_field(std::uint8_t* field, ChecksumDelta delta,
                                   std::uint8_t protocol) {
  if (protocol != protocol::udp) {
    update_field(field, delta);
  } else if (load_wire<std::uint16_t>(field) != 0) {  // else the sender made none
    update_field(field, delta);
    avoid_zero(field);
  }
}

template <class Family>
inline void write_addresses(std::uint8_t* ip, const typename Family::Address& source,
                            const typename Family::Address& destination, ChecksumDelta delta) {
  store_wire(ip + Family::source_offset, source.wire);
  store_wire(ip + Family::destination_offset, destination.wire);
  if constexpr (Family::has_header_checksum) {
    update_field(ip + Family::header_checksum_offset, delta);
  }
}

template <class Family>
inline void rewrite_packet(const Rewrite<Family>& rewrite, const Parsed<Family>& parsed,
                           Packet& packet) {
  assert(!parsed.piece.is_later());
  std::uint8_t* ip = packet.bytes.data();
  write_addresses<Family>(ip, rewrite.source, rewrite.destination, rewrite.address_delta);
  std::uint8_t* transport = ip + parsed.transport_offset;
  std::uint8_t* field = nullptr;
  if (parsed.protocol == protocol::udp) {
    field = transport + udp_checksum_offset;
    store_be16(transport, rewrite.source_port);
    store_be16(transport + 2, rewrite.destination_port);
  } else if (parsed.protocol == protocol::tcp) {
    field = transport + tcp_checksum_offset;
    store_be16(transport, rewrite.source_port);
    store_be16(transport + 2, rewrite.destination_port);
    // An ICMP error may have cut what it quotes before that.
    if (parsed.transport_size < tcp_checksum_offset + 2) return;
  } else if (parsed.protocol == Family::icmp_protocol) {
    field = transport + icmp_checksum_offset;
    // The identifier is the local port; the remote one is 0.
    const unsigned identifier = unsigned{rewrite.source_port} | rewrite.destination_port;
    store_be16(transport + icmp_identifier_offset, static_cast<std::uint16_t>(identifier));
  } else {
    return;  // protocols without ports, whose sums do not cover addresses
  }
  if (packet.checksum != ChecksumState::complete) {
    write_unfinished_sum(parsed, packet, rewrite.address_delta);
  } else {
    update_transport_field(field, rewrite.transport_delta, parsed.protocol);
  }
}

}  // namespace swnat
