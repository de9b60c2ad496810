// ICMP errors (RFC 5508): the packet that an error quotes, and its translation back to what its
// sender sent.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/wire/parse.h"
#include "engine/wire/rewrite.h"
#include "swnat/packet.h"

namespace swnat {

// The headers of the quoted packet. `packet.transport_size` is what the quotation holds: at least 8
// bytes of what has ports or identifiers.
template <class Family>
struct Quoted {
  Parsed<Family> packet;
  std::uint16_t offset;  // of the quoted IP header, from the error's first byte
};

// Reads the quotation of an ICMP error. RFC 5508 REQ-3: damage to the error or to the quoted IP
// header is found here, quoted IP options are skipped, the quoted transport checksum is not looked
// at.
template <class Family>
std::optional<Reason> parse_quoted(const Packet& error, const Parsed<Family>& parsed,
                                   Quoted<Family>& quoted);

// The error as the other side must see it (RFC 5508 REQ-4 and REQ-5).
template <class Family>
struct ErrorRewrite {
  typename Family::Address source;  // of the error itself
  typename Family::Address destination;
  Rewrite<Family> quoted;
};
template <class Family>
void rewrite_error(const ErrorRewrite<Family>& rewrite, const Parsed<Family>& parsed,
                   const Quoted<Family>& quoted, Packet& error);

}  // namespace swnat
