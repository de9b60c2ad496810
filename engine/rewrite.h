// Writing a session's other leg into a packet, with its checksums.
#pragma once

#include "engine/packet.h"
#include "engine/parse.h"
#include "engine/session.h"

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

template <class Family>
Rewrite<Family> outbound_rewrite(const Session<Family>& session) {
  const Leg<Family>& leg = session.outside;
  return {leg.local,
          leg.remote,
          leg.local_port,
          leg.remote_port,
          session.address_delta,
          session.transport_delta};
}

template <class Family>
Rewrite<Family> inbound_rewrite(const Session<Family>& session) {
  const Leg<Family>& leg = session.inside;
  return {leg.remote,
          leg.local,
          leg.remote_port,
          leg.local_port,
          static_cast<ChecksumDelta>(~session.address_delta),
          static_cast<ChecksumDelta>(~session.transport_delta)};
}

// Sets the deltas of a session from its legs.
template <class Family>
void set_deltas(Session<Family>& session);

// `parsed` is what the gate found in `packet`. The transport of a later fragment is left alone.
template <class Family>
void apply(const Rewrite<Family>& rewrite, const Parsed<Family>& parsed, Packet& packet);

// The pieces it is made of. `field` is a checksum field, or its offset.
void update_field(std::uint8_t* field, ChecksumDelta delta);
void write_full_sum(std::uint8_t* transport, std::size_t field, std::uint64_t pseudo_header,
                    std::uint16_t size);
template <class Family>
void write_addresses(std::uint8_t* ip, const typename Family::Address& source,
                     const typename Family::Address& destination, ChecksumDelta delta);
// The identification that `parsed` says the packet has; for IPv4 only its low 16 bits.
template <class Family>
void write_identification(std::uint8_t* ip, const Parsed<Family>& parsed,
                          std::uint32_t identification);

}  // namespace swnat
