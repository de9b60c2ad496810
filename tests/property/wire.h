// Packets as bytes: made, read and rewritten by naive code that shares nothing with the engine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tests/property/step.h"

namespace swnat::property {

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

// For echo requests the source port is the identifier and the destination port is 0; for replies
// the other way round. Protocols without ports have 0.
struct Ends {
  IpEndpoint source;
  IpEndpoint destination;

  Ends back() const { return {destination, source}; }
  friend bool operator==(const Ends&, const Ends&) = default;
};

enum class Kind : std::uint8_t {
  tcp,
  udp,
  echo_request,
  echo_reply,
  icmp_error,
  icmp_other,
  other
};

struct TcpSegment {
  TcpFields fields;
  std::uint32_t payload = 0;
};

// What a packet says.
struct Message {
  Kind kind = Kind::other;
  std::uint8_t protocol = 0;  // ICMPv6 is 1 here, as in a policy
  Ends ends;
  std::size_t length = 0;  // of the IP packet
  TcpSegment segment;      // TCP, if whole
  // An ICMP error's quotation: the packet as far as it is there, by its offset.
  std::size_t quotation = 0;
};

// The packet must be whole (a quotation: its IP header and 8 bytes).
Message read(View packet);

// Of any fragment; the ports are 0.
Ends read_addresses(View packet);

// `type` and `code` are 8 0 for an echo request in either family.
Bytes make_packet(const Ends& ends, Kind kind, const TcpFields& fields, const Look& look);
// Quotes the first bytes of `about`. `number` as Step::error.
Bytes make_error(const IpAddress& from, const IpAddress& to, std::uint8_t number,
                 const Bytes& about, const Look& look);

// Writes other ends, at `offset` in the bytes; damage to the sums stays what it was.
void rewrite(Bytes& bytes, std::size_t offset, const Ends& ends);
// An error's own addresses.
void rewrite_error(Bytes& bytes, const IpAddress& source, const IpAddress& destination,
                   const Ends& quoted);
// Whether a router may cut it into fragments, or it is one.
bool may_be_cut(View packet);
bool is_fragment(View packet);
bool is_later_fragment(View packet);
// Puts `from`'s identification into the packet, if it has one.
void copy_identification(Bytes& packet, const Bytes& from);

// Cuts a whole packet into so many fragments, the first of which has the transport's header; one
// that is too small stays whole.
std::vector<Bytes> cut(const Bytes& packet, std::uint32_t pieces, std::uint32_t identification);
// What all fragments of a datagram have in common, as bytes: the IPv4 protocol, the identification
// and the addresses.
Bytes datagram_of(View fragment);
// Writes the addresses of a later fragment, which has nothing else to write.
void rewrite_later(Bytes& fragment, const IpAddress& source, const IpAddress& destination);
// The packet with one of the two zeros of one's complement in the IPv4 header's sum.
Bytes with_one_header_zero(Bytes packet);
// Sets the transport's sum as for ChecksumState::partial and ::segmented.
void complete_sum(Bytes& packet);
void set_pseudo_sum(Bytes& packet);

// Whether the sums of an error are such that it may be believed: its own, and the quoted IPv4
// header's.
bool error_sums_are_right(View packet);

// The bytes with one of the two zeros of one's complement in all sums but UDP's, where they differ.
Bytes with_one_zero(Bytes packet, ChecksumState state);

}  // namespace swnat::property
