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
// bytes.
struct Quoted {
  Parsed<Ipv4> packet;
  std::uint16_t offset;  // of the quoted IP header, from the error's first byte
};

// Reads the quotation of an ICMP error. RFC 5508 REQ-3: damage to the error or to the quoted IP
// header is found here, quoted IP options are skipped, the quoted transport checksum is not looked
// at.
std::optional<Reason> parse_quoted(const Packet& error, const Parsed<Ipv4>& parsed, Quoted& quoted);

// The error as the other side must see it (RFC 5508 REQ-4 and REQ-5).
struct ErrorRewrite {
  Ipv4Address source;  // of the error itself
  Ipv4Address destination;
  Rewrite quoted;
};
ErrorRewrite inbound_error_rewrite(const Session<Ipv4>& session, const Parsed<Ipv4>& parsed);
ErrorRewrite outbound_error_rewrite(const Session<Ipv4>& session);

void apply(const ErrorRewrite& rewrite, const Parsed<Ipv4>& parsed, const Quoted& quoted,
           Packet& error);

}  // namespace swnat
