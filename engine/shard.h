// One single-threaded NAT: the sessions whose port bits are its own. Its owner holds `mutex` around
// every call but key hashing and prefetching.
//
// It says what becomes of a packet, by the session that it belongs to (sessions.h) or one that is
// made for it (establishment.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "engine/base/lock.h"
#include "engine/establishment.h"
#include "engine/lookup.h"
#include "engine/session/tcp_state.h"
#include "engine/sessions.h"
#include "engine/wire/icmp_error.h"
#include "engine/wire/parse.h"
#include "swnat/reason.h"

namespace swnat {

template <class Family>
class alignas(64) Shard {
 public:
  Shard(const ShardOptions<Family>& options, std::shared_ptr<const Snapshot> snapshot,
        Externals<Family>& externals, NamespaceUses& uses)
      : sessions_(options, std::move(snapshot), externals, uses), establishment_(sessions_) {}

  Mutex mutex;

  // As adopt_all() (adoption.h).
  void adopt(Tick now, bool is_recent) SWNAT_REQUIRES(mutex);

  void populate() SWNAT_REQUIRES(mutex) { sessions_.table().populate(); }

  // --- packets

  const SessionIndex& flows() const { return sessions_.table().flows(); }

  // For the batch, in two steps: a session worth fetching, and what came of it.
  SessionRef candidate(std::uint64_t hash) const { return sessions_.table().candidate(hash); }
  // Translates a common packet (common_packet.h) and gives it its reason, if `ref` is its live
  // session; else changes nothing and returns false. Forced inline into the batch's loop: a call,
  // with the registers that it saves, is a fifteenth of an established packet's instructions.
  [[gnu::always_inline]] bool translate_established(SessionRef ref, Packet& packet, Tick now)
      SWNAT_REQUIRES(mutex);

  // Asks for the memory that will be looked at for these packets, none of which was an established
  // session's: first answers, and those that sessions are to be established for.
  void prefetch_missed(std::span<const Lookup> lookups) const;

  // One packet: finds its session or establishes one. `flow`: the hash of its key. For outbound
  // packets of a namespace that is at its limit, session_limit is returned with nothing changed, if
  // sessions of other shards may have to go.
  Reason outbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow, Tick now)
      SWNAT_REQUIRES(mutex);
  Reason outbound(const Parsed<Family>& parsed, Packet& packet, Tick now) SWNAT_REQUIRES(mutex) {
    return outbound(parsed, packet, inside_flow(parsed, packet).hash(sessions_.secret()), now);
  }
  Reason inbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow, Tick now)
      SWNAT_REQUIRES(mutex);
  Reason inbound(const Parsed<Family>& parsed, Packet& packet, Tick now) SWNAT_REQUIRES(mutex) {
    return inbound(parsed, packet, outside_flow(parsed).hash(sessions_.secret()), now);
  }
  // As outbound(), but the packet is not sent: its session is kept alive, and `external` is its
  // external endpoint.
  Reason keep(const Parsed<Family>& parsed, const Packet& packet,
              Endpoint<typename Family::Address>& external, Tick now) SWNAT_REQUIRES(mutex);
  // An answer to what a namespace's packet was redirected to, which comes with the namespace's
  // fwmark: from within the namespace, or from the gateway. No other session is looked for.
  Reason answer(const Parsed<Family>& parsed, Packet& packet, Tick now) SWNAT_REQUIRES(mutex);

  // What can be said of a namespace's packet to an external address before anything is established.
  enum class Prospect : std::uint8_t {
    has_session,     // that was opened from inside
    answers,         // a session that was opened from outside
    ruled,           // no session, but what becomes of it does not depend on who has the address
    asks_for_owner,  // of the external endpoint
  };
  Prospect prospect(const Parsed<Family>& parsed, const Packet& packet, Tick now)
      SWNAT_REQUIRES(mutex);
  // Whether a packet that comes in may be some namespace's, be it permitted or not.
  bool has_owner(const Parsed<Family>& parsed, Tick now) SWNAT_REQUIRES(mutex);

  // What would become of a packet, here alone (swnat/outlook.h): nothing is made, taken, ended
  // or counted. `meets_over` becomes true if it would free sessions first, whose time is over.
  OutboundForetold<Family> foretell_outbound(const Parsed<Family>& parsed, NamespaceId id,
                                             bool& meets_over, Tick now) SWNAT_REQUIRES(mutex);
  InboundOutlook foretell_inbound(const Parsed<Family>& parsed, NamespaceId begun_by,
                                  bool& meets_over, Tick now) SWNAT_REQUIRES(mutex);
  std::optional<SessionView> foretell_answer(const Parsed<Family>& parsed, NamespaceId id,
                                             bool& meets_over, Tick now) SWNAT_REQUIRES(mutex);

  // An ICMP error about a packet of one of its sessions: that it sent, or delivered. `sender`: the
  // namespace that the error comes from, 0 for the outside.
  Reason error_about_sent(NamespaceId sender, const Parsed<Family>& parsed,
                          const Quoted<Family>& quoted, Packet& error, Tick now)
      SWNAT_REQUIRES(mutex);
  Reason error_about_delivered(const Parsed<Family>& parsed, const Quoted<Family>& quoted,
                               Packet& error, Tick now) SWNAT_REQUIRES(mutex);

  // What a rule says of a packet that no session can be made of: dropped or untranslated, or
  // nothing.
  std::optional<Reason> rule_for(NamespaceId id, const Parsed<Family>& parsed) const
      SWNAT_REQUIRES(mutex);

  void count(Reason reason) SWNAT_REQUIRES(mutex) { ++counters_[static_cast<std::size_t>(reason)]; }
  const Counters& counters() const SWNAT_REQUIRES(mutex) { return counters_; }
  // No session will be made for this outbound packet.
  void refused(Reason reason, const Parsed<Family>& parsed, const Packet& packet, Tick now)
      SWNAT_REQUIRES(mutex) {
    sessions_.refused(reason, packet.namespace_id, parsed.protocol, parsed.leg_from_inside(), {},
                      now);
  }

  // --- sessions

  // The policy, what is due, who has to go, who is meant.
  Sessions<Family>& sessions() SWNAT_REQUIRES(mutex) { return sessions_; }
  std::uint32_t session_count() const SWNAT_REQUIRES(mutex) { return sessions_.table().count(); }
  const EndCounts& ended_sessions() const SWNAT_REQUIRES(mutex) { return sessions_.ended(); }
  bool is_end(std::uint32_t position) const SWNAT_REQUIRES(mutex) {
    return position >= sessions_.table().used();
  }
  EventLog<Family>& events() SWNAT_REQUIRES(mutex) { return sessions_.events(); }

 private:
  using Key = FlowKey<Family>;
  using Record = Session<Family>;

  static Key inside_flow(const Parsed<Family>& parsed, const Packet& packet) {
    return Key::inside_flow(packet.namespace_id, parsed.protocol, parsed.leg_from_inside());
  }
  static Key outside_flow(const Parsed<Family>& parsed) {
    return Key::outside_flow(0, parsed.protocol, parsed.leg_from_outside());
  }
  Reason translate(SessionRef ref, const Parsed<Family>& parsed, Packet& packet, Tick now);
  TcpConnection connection_of(SessionRef ref);
  void refresh(Record& session, Direction direction, Tick now);

  Sessions<Family> sessions_;
  Establishment<Family> establishment_;
  Counters counters_{};
};

}  // namespace swnat
