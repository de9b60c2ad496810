// ICMP errors (RFC 5508): the packet that an error quotes, and its translation back to what its
// sender sent.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/packet.h"
#include "engine/parse.h"
#include "engine/rewrite.h"
#include "engine/session.h"

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
// About a packet that the session sent out, and about one that it delivered.
template <class Family>
ErrorRewrite<Family> inbound_error_rewrite(const Session<Family>& session,
                                           const Parsed<Family>& parsed);
template <class Family>
ErrorRewrite<Family> outbound_error_rewrite(const Session<Family>& session);

template <class Family>
void apply(const ErrorRewrite<Family>& rewrite, const Parsed<Family>& parsed,
           const Quoted<Family>& quoted, Packet& error);

}  // namespace swnat
