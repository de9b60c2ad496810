// What would become of a packet, and why: asked of an engine, which does nothing for it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "swnat/address.h"
#include "swnat/packet.h"
#include "swnat/policy.h"
#include "swnat/protocol.h"
#include "swnat/reason.h"
#include "swnat/session_view.h"

namespace swnat {

// A packet that may begin a session: a SYN, a datagram, an echo request; inbound, of ICMP, an echo
// reply.
struct Question {
  Direction direction = Direction::outbound;
  NamespaceId namespace_id = 0;  // the sender's; of inbound ones 0
  // IP protocol number: TCP, UDP, one that is_portless(), or ICMP of either family, by any of its
  // two numbers.
  std::uint8_t protocol = protocol::tcp;
  // Of one family. Of echo requests the source's port is the identifier, of replies the
  // destination's, and the other one is 0, as are both without ports.
  IpEndpoint source = {};
  IpEndpoint destination = {};
};

// A rule that counts, with its place in its list of the policy.
template <class Rule>
struct RuleMet {
  std::size_t place;
  Rule rule;
};

struct RoomSeen {
  std::uint32_t used;
  std::uint32_t limit;

  bool is_full() const { return used >= limit; }
};

// Where the external endpoint comes from.
enum class ExternalSource : std::uint8_t {
  none,     // it gets none
  session,  // the packet's session has it already
  mapping,  // another session of the same internal endpoint has it
  forward,  // a forward leads from it to the internal endpoint
  own,      // the port is the internal one, which is free outside, too
  chosen,   // chosen by the engine's secret; the next packet of this shard may get it first
  any,      // the address is known, and the port one of those that are free
};

// The way out of a namespace.
struct OutboundOutlook {
  Reason reason = Reason::translated_outbound;
  bool is_known_namespace = false;
  std::optional<SessionView> session = {};  // that it belongs to; then no rule is asked
  std::optional<RuleMet<DropRule>> drop = {};
  std::optional<RuleMet<RedirectRule>> redirect = {};
  std::optional<RuleMet<ForwardRule>> forwarded_as = {};
  IpEndpoint remote = {};  // where it goes to, redirected or not
  // What the new session counts to.
  std::optional<RoomSeen> sessions = {};      // of the namespace
  std::optional<RoomSeen> ports = {};         // of the namespace, if it has a limit
  std::optional<RoomSeen> all_sessions = {};  // of the engine
  std::optional<SessionView> evicted = {};    // it would end for the new one
  ExternalSource source = ExternalSource::none;
  IpEndpoint external = {};      // with `any` the port is 0
  std::uint32_t free_ports = 0;  // of the external address and protocol, resting ones included
  // How long the new session may be idle: until it is answered, and then.
  std::chrono::milliseconds unanswered_timeout{0};
  std::chrono::milliseconds answered_timeout{0};
};

// The way to an external endpoint.
struct InboundOutlook {
  Reason reason = Reason::translated_inbound;
  std::optional<SessionView> session = {};
  std::optional<RuleMet<ForwardRule>> forward = {};
  bool has_mapping = false;               // somebody inside has the external endpoint
  NamespaceId namespace_id = 0;           // that gets it; 0 for none
  IpEndpoint internal = {};               // that gets it, if there is a namespace
  std::optional<RoomSeen> sessions = {};  // of the forward, if it has room of its own
  bool counts_to_forward = false;         // these are the forward's
  std::optional<RoomSeen> all_sessions = {};
  std::optional<SessionView> evicted = {};  // over, and it came in as the new one does
  std::chrono::milliseconds unanswered_timeout{0};
  std::chrono::milliseconds answered_timeout{0};
};

struct Outlook {
  Reason reason = Reason::translated_outbound;  // of the packet as a whole
  // The packet would free some sessions first, whose time is over. Until then these count, so it
  // may find room where none is seen.
  bool is_overdue = false;
  // Of a hairpin: the session that would end for its first half is the receiver's, so the second
  // half may come to something else.
  bool evicts_receivers = false;
  std::optional<OutboundOutlook> outbound = {};
  // Of a hairpin the second half. If the first one gets `any` port, sessions of a port are not
  // looked for.
  std::optional<InboundOutlook> inbound = {};
};

}  // namespace swnat
