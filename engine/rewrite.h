// Writing a session's other leg into a packet, with its checksums.
#pragma once

#include "engine/packet.h"
#include "engine/parse.h"
#include "engine/session.h"

namespace swnat {

// Before and after of one direction, as the packet has them.
struct Rewrite {
  Ipv4Address source;
  Ipv4Address destination;
  std::uint16_t source_port;
  std::uint16_t destination_port;
  ChecksumDelta address_delta;
  ChecksumDelta transport_delta;
};

inline Rewrite outbound_rewrite(const Session<Ipv4>& session) {
  const Leg<Ipv4>& leg = session.outside;
  return {leg.local,
          leg.remote,
          leg.local_port,
          leg.remote_port,
          session.address_delta,
          session.transport_delta};
}

inline Rewrite inbound_rewrite(const Session<Ipv4>& session) {
  const Leg<Ipv4>& leg = session.inside;
  return {leg.remote,
          leg.local,
          leg.remote_port,
          leg.local_port,
          static_cast<ChecksumDelta>(~session.address_delta),
          static_cast<ChecksumDelta>(~session.transport_delta)};
}

// Sets the deltas of a session from its legs.
void set_deltas(Session<Ipv4>& session);

// `parsed` is what the gate found in `packet`.
void apply(const Rewrite& rewrite, const Parsed<Ipv4>& parsed, Packet& packet);

// The pieces it is made of. `field` is a checksum field, or its offset.
void update_field(std::uint8_t* field, ChecksumDelta delta);
void write_full_sum(std::uint8_t* transport, std::size_t field, std::uint64_t pseudo_header,
                    std::uint16_t size);
void write_addresses(std::uint8_t* ip, Ipv4Address source, Ipv4Address destination,
                     ChecksumDelta delta);

}  // namespace swnat
