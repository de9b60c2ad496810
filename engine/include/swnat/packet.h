// One packet on its way through the engine: bytes and metadata in, bytes and a verdict out.
#pragma once

#include <cstdint>
#include <span>

#include "swnat/reason.h"

namespace swnat {

// A tenant: the bits of the fwmark that name it. 0 names none.
using NamespaceId = std::uint32_t;

enum class Direction : std::uint8_t {
  outbound,  // from a namespace to the outside
  inbound,   // from the outside, or from the gateway itself, to an external address
  hairpin,   // from a namespace, before it is routed: outbound, and then also inbound if that leads
             // to an external address; or an answer to what was redirected
};

// What the packet's transport checksum is, hence how a rewrite keeps it.
enum class ChecksumState : std::uint8_t {
  complete,   // as on the wire, right or damaged: updated incrementally, so damage stays visible
  partial,    // only the pseudo-header is summed; the engine writes the full sum
  segmented,  // one of several segments still joined (GSO, GRO): TCP gets the full sum, for UDP the
              // pseudo-header's sum is kept up to date, from which segmentation makes each
              // segment's
};

struct Packet {
  // From the IP header on. Rewritten in place if accepted, else untouched.
  std::span<std::uint8_t> bytes;
  // In: the sender's, for outbound and hairpin. Out: the receiver's, for accepted inbound and
  // hairpin; 0 if it is outside, or the gateway itself.
  NamespaceId namespace_id = 0;
  Direction direction = Direction::outbound;
  ChecksumState checksum = ChecksumState::complete;
  // Out.
  Reason reason = Reason::malformed_ip;
  // Out, for fragments, else 0: the same for all of a datagram. Once a first fragment has its
  // verdict, those that are held under its number can be given again.
  std::uint64_t datagram = 0;

  Verdict verdict() const { return verdict_of(reason); }
};

}  // namespace swnat
