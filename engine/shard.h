// One single-threaded NAT: the sessions whose port bits are its own. Its owner holds `mutex` around
// every call but key hashing and prefetching.
//
// It decides: who may have a session, with which external endpoint, and what a packet does to it.
// The sessions themselves are in a SessionTable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/lock.h"
#include "engine/event_log.h"
#include "engine/policy/namespaces.h"
#include "engine/ports/externals.h"
#include "engine/session/flow.h"
#include "engine/session/session_memory.h"
#include "engine/session/session_table.h"
#include "engine/session/tcp_state.h"
#include "engine/wire/common_packet.h"
#include "engine/wire/family.h"
#include "engine/wire/icmp_error.h"
#include "engine/wire/parse.h"
#include "engine/wire/rewrite.h"
#include "swnat/reason.h"

namespace swnat {

template <class Family>
struct ShardOptions {
  std::uint32_t number;
  std::uint32_t shards;
  Secret secret;
  SessionMemoryPart<Family> memory;
};

inline constexpr std::size_t batch_max = 32;  // packets that are looked up side by side

// A common packet (common_packet.h) of a batch between two passes.
struct Lookup {
  Packet* packet;
  std::uint64_t hash;  // of its flow
  SessionRef candidate;
  std::uint32_t shard;
  int place;  // in the batch
};

// There is no free port for a new mapping, so the session that ends must give one back.
struct PortWanted {
  IpAddress external;
  std::uint8_t protocol;
  std::uint16_t like;
  // With a mapping for each session: it serves no other remote, and no other shard.
  IpEndpoint remote;
  NamespaceId realm;
};

// A session of the namespace that has this slot shall end, the one that has to go first.
struct RoomWanted {
  std::uint32_t slot;
  bool only_over;  // else none
  std::optional<PortWanted> port{};
};

template <class Family>
class alignas(64) Shard {
 public:
  using Key = FlowKey<Family>;
  using Record = Session<Family>;

  Shard(const ShardOptions<Family>& options, std::shared_ptr<const Snapshot> snapshot,
        Externals<Family>& externals, NamespaceUses& uses);

  Mutex mutex;

  // Takes over the sessions that its records hold, once, before any packet; none if their ticks are
  // not recent.
  void adopt(Tick now, bool is_recent) SWNAT_REQUIRES(mutex);

  void populate() SWNAT_REQUIRES(mutex) { table_.populate(); }

  const SessionIndex& flows() const { return table_.flows(); }

  // For the batch, in two steps: a session worth fetching, and what came of it.
  SessionRef candidate(std::uint64_t hash) const { return table_.candidate(hash); }
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
    return outbound(parsed, packet, inside_flow(parsed, packet).hash(secret_), now);
  }
  Reason inbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow, Tick now)
      SWNAT_REQUIRES(mutex);
  Reason inbound(const Parsed<Family>& parsed, Packet& packet, Tick now) SWNAT_REQUIRES(mutex) {
    return inbound(parsed, packet, outside_flow(0, parsed).hash(secret_), now);
  }
  // An answer to what a namespace's packet was redirected to, which comes with the namespace's
  // fwmark: from within the namespace, or from the gateway. No other session is looked for.
  Reason answer(const Parsed<Family>& parsed, Packet& packet, Tick now) SWNAT_REQUIRES(mutex);

  // What can be said of a namespace's packet to an external address before anything is established.
  enum class Outlook : std::uint8_t {
    has_session,     // that was opened from inside
    answers,         // a session that was opened from outside
    ruled,           // no session, but what becomes of it does not depend on who has the address
    asks_for_owner,  // of the external endpoint
  };
  Outlook outlook(const Parsed<Family>& parsed, const Packet& packet, Tick now)
      SWNAT_REQUIRES(mutex);
  // Whether a packet that comes in may be some namespace's, be it permitted or not.
  bool has_owner(const Parsed<Family>& parsed, Tick now) SWNAT_REQUIRES(mutex);

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

  // Looks at no more than `budget` sessions; returns at how many.
  std::uint32_t expire(Tick now, std::uint32_t budget) SWNAT_REQUIRES(mutex);

  // What has to end for a new session of a namespace that is at its limit, after outbound() said
  // so; nothing if the new one is refused.
  std::optional<RoomWanted> room_wanted(NamespaceId id) const SWNAT_REQUIRES(mutex);
  // The namespace's session here that has to go first; nothing if it has none.
  std::optional<Candidate> first_to_go(const RoomWanted& wanted) SWNAT_REQUIRES(mutex);
  // Ends that session. False if it does not stand as it did, or is gone.
  bool evict(std::uint32_t slot, const Candidate& candidate, Tick now) SWNAT_REQUIRES(mutex);

  // Follows a new policy from now on.
  void set_snapshot(std::shared_ptr<const Snapshot> snapshot) SWNAT_REQUIRES(mutex);
  // Ends the sessions that the policy does not allow, and counts the others where they are to, of
  // those at `position` and some after it, which moves on. False at the end.
  bool end_unfit(std::uint32_t& position, Tick now) SWNAT_REQUIRES(mutex);

  void count(Reason reason) SWNAT_REQUIRES(mutex) { ++counters_[static_cast<std::size_t>(reason)]; }
  const Counters& counters() const SWNAT_REQUIRES(mutex) { return counters_; }
  std::uint32_t session_count() const SWNAT_REQUIRES(mutex) { return table_.count(); }

  // As SessionTable::add_traffic().
  bool add_traffic(std::uint64_t& position, std::span<TwoWayTraffic> by_slot) const
      SWNAT_REQUIRES(mutex) {
    return table_.add_traffic(position, by_slot);
  }

  // Of the sessions at `position` and some after it, which moves on, those that are meant: copied
  // out, or ended. Both return how many.
  std::size_t copy_sessions(const SessionPattern& pattern, std::uint32_t& position,
                            std::span<SessionView> out, Tick now) const SWNAT_REQUIRES(mutex) {
    return table_.copy(pattern, position, out, now);
  }
  std::size_t end_sessions(const SessionPattern& pattern, std::uint32_t& position, Tick now)
      SWNAT_REQUIRES(mutex);
  bool is_end(std::uint32_t position) const SWNAT_REQUIRES(mutex) {
    return position >= table_.used();
  }

  EventLog<Family>& events() SWNAT_REQUIRES(mutex) { return events_; }
  // No session will be made for this outbound packet.
  void tell_refused(Reason reason, const Parsed<Family>& parsed, const Packet& packet, Tick now)
      SWNAT_REQUIRES(mutex) {
    if (!events_.is_heard(EventKind::refused)) return;
    events_.refused(reason, packet.namespace_id, parsed.protocol, parsed.leg_from_inside(), {},
                    now);
  }

 private:
  using Address = typename Family::Address;
  using End = Endpoint<Address>;

  // The external endpoint of a new session.
  struct External {
    Address address;
    std::uint16_t port = 0;
    SessionRef mapping = no_session;  // a session of the same mapping, if there is one
    bool is_forward = false;          // a rule's, not from the free ports
  };
  // Where a session counts, and up to how many may.
  struct Room {
    std::uint32_t slot;
    std::uint32_t limit;
  };
  // What a new session is made of, beside what the packet says.
  struct Plan {
    const Tenant& tenant;
    std::uint32_t slot;  // of the room that was taken for it
    External external;
    Leg<Family> inside;
    Leg<Family> outside;
    bool remote_is_inside = false;
    FlowHashes flows{};

    NamespaceId realm() const { return remote_is_inside ? tenant.id : 0; }
  };

  static Key inside_flow(const Parsed<Family>& parsed, const Packet& packet) {
    return Key::inside_flow(packet.namespace_id, parsed.protocol, parsed.leg_from_inside());
  }
  static Key outside_flow(NamespaceId realm, const Parsed<Family>& parsed) {
    return Key::outside_flow(realm, parsed.protocol, parsed.leg_from_outside());
  }
  static Key outside_flow(const Plan& plan, std::uint8_t protocol) {
    return Key::outside_flow(plan.realm(), protocol, plan.outside);
  }

  void prefetch_establishment(std::span<const Packet* const> packets) const;

  SessionRef find_live(const Key& key, Tick now) { return find_live(key, key.hash(secret_), now); }
  SessionRef find_live(const Key& key, std::uint64_t hash, Tick now);
  SessionRef find_mapping(const Key& key, Tick now);
  SessionRef find_asked(NamespaceId sender, std::uint8_t protocol, const Leg<Family>& outside,
                        Tick now);
  Reason translate(SessionRef ref, const Parsed<Family>& parsed, Packet& packet, Tick now);
  TcpConnection connection_of(SessionRef ref);
  void refresh(Record& session, Direction direction, Tick now);
  void release(SessionRef ref, EndCause cause, Tick now) {
    release(ref, table_.hashes_of(ref), cause, now);
  }
  void release(SessionRef ref, const KeyHashes& hashes, EndCause cause, Tick now);
  typename EventLog<Family>::Part part_of(SessionRef ref) const;

  std::optional<Reason> take_use(const Room& room);
  static Room room_of(const Tenant& tenant, const typename RuleBook<Family>::Forward* forward);
  std::uint32_t slot_for(const Record& session) const;
  void count_in(SessionRef ref, std::uint32_t slot);
  bool evict_if_all_are_here(NamespaceId id, Tick now) SWNAT_REQUIRES(mutex);
  bool evict_here(const RoomWanted& wanted, Tick now);
  bool gives_port(SessionRef ref, const PortWanted& wanted);
  void state_changed(SessionRef ref, SessionState before, Tick now);
  Reason establish_outbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow,
                            Tick now) SWNAT_REQUIRES(mutex);
  Reason establish_inbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow,
                           Tick now);
  std::optional<Reason> refuses(const Parsed<Family>& parsed) const;
  SessionRef permitting(SessionRef mapping, const Parsed<Family>& parsed, Tick now);
  // Whether what is chosen is taken, or only known to be there.
  enum class Choice : std::uint8_t { taken, possible };
  std::optional<Reason> choose_external(Plan& plan, std::uint8_t protocol, Choice choice, Tick now);
  void give_back(const Plan& plan, std::uint8_t protocol, Tick now);
  std::optional<Reason> choose_port(Plan& plan, std::uint8_t protocol, Choice choice, Tick now);
  bool has_port(const Plan& plan, std::uint8_t protocol, Tick now);
  bool take_port(Plan& plan, std::uint8_t protocol, Tick now);
  std::uint32_t place_of_flow(const Plan& plan) const;
  bool tries_all_ports() const;
  bool find_port_for_remote(Plan& plan, std::uint8_t protocol, Choice choice, Tick now);
  bool is_free_for_remote(Plan& plan, std::uint8_t protocol, Tick now);
  bool is_free_outside(Plan& plan, std::uint8_t protocol, Tick now);
  // Where ports come in blocks (shard_blocks.cpp).
  bool has_port_of_block(const Plan& plan, std::uint8_t protocol, Tick now);
  std::optional<std::uint16_t> take_port_of_block(const Plan& plan, std::uint8_t protocol,
                                                  Tick now);
  void pass_over_in_block(const Plan& plan, std::uint8_t protocol, std::uint16_t port, Tick now);
  bool find_port_in_blocks(Plan& plan, std::uint8_t protocol, Choice choice, Tick now);
  bool find_port_in_new_block(Plan& plan, std::uint8_t protocol, Choice choice, Tick now);
  void release_in_block(const Leg<Family>& outside, std::uint8_t protocol, Tick now);
  bool may_adopt_in_block(const Record& session, SessionRef mapping);
  Reason establish(const Plan& plan, const Parsed<Family>& parsed, Packet& packet, Tick now);

  // Whether its mapping has a port that is its namespace's by choice, which port_limit counts.
  static bool counts_as_port(const Record& session) {
    return !session.is_forward && !protocol::is_portless(session.protocol);
  }

  static Standing standing_of(const Record& session) {
    return {rank_of(session.state), session.last_active};
  }

  bool adopt(SessionRef ref);
  bool is_sound(const Record& session) const;
  bool is_timely(const Record& session, Tick now) const;
  bool fits(const Record& session) const;

  const RuleBook<Family>& rules() const { return snapshot_->rules<Family>(); }
  void read_policy();

  std::uint32_t number_;
  std::uint32_t shards_;
  Secret secret_;
  std::shared_ptr<const Snapshot> snapshot_;
  // From the policy, as every packet needs them.
  bool frees_closed_at_once_ = false;
  bool anybody_may_send_ = false;
  // From the moment that the policy changes until end_unfit() has seen all.
  bool may_have_unfit_ = false;
  // By the last packet that made none of its own for want of room.
  std::optional<PortWanted> port_wanted_;
  Externals<Family>& externals_;
  NamespaceUses& uses_;
  SessionTable<Family> table_;
  Random random_;
  Counters counters_{};
  EventLog<Family> events_;
};

// What a session of a protocol without connections is once both ends have sent something.
template <class Family>
constexpr SessionState answered_state(std::uint8_t protocol) {
  if (protocol == protocol::udp) return SessionState::udp;
  return protocol == Family::icmp_protocol ? SessionState::icmp : SessionState::portless;
}

// What packets of established sessions meet, inline for the batch's loop.

template <class Family>
inline TcpConnection Shard<Family>::connection_of(SessionRef ref) {
  Record& session = table_[ref];
  return {session.state, session.internal_receiver, session.remote_receiver, session.claim,
          table_.aside(ref)};
}

template <class Family>
inline bool Shard<Family>::translate_established(SessionRef ref, Packet& packet, Tick now) {
  using Words = LegWords<Family>;
  Record& session = table_[ref];
  const bool is_inbound = packet.direction == Direction::inbound;
  const std::uint8_t protocol = common_protocol<Family>(packet);
  const NamespaceId expected = is_inbound ? session.realm() : session.namespace_id;
  const NamespaceId given = is_inbound ? 0 : packet.namespace_id;
  const Leg<Family>& known = is_inbound ? session.outside : session.inside;
  // Beside what is free, what this packet may answer.
  const SessionState slow_until =
      is_inbound ? SessionState::echo_asked : SessionState::asked_by_remote;
  const bool is_found = (expected == given) & (session.protocol == protocol) &
                        (session.state > slow_until) &
                        (Words::read(packet, is_inbound) == Words::of(known));
  if (!is_found || table_.expired(session, now)) return false;
  std::uint8_t* transport = common_transport<Family>(packet);
  std::uint8_t* field = transport + udp_checksum_offset;
  bool is_plain = packet.checksum == ChecksumState::complete;
  if (protocol == protocol::tcp) {
    field = transport + tcp_checksum_offset;
    is_plain = is_plain && follow(connection_of(ref), transport,
                                  is_inbound ? TcpSender::remote : TcpSender::internal);
  }
  if (!is_plain) {
    Parsed<Family> parsed;
    parse(packet.bytes, packet.direction, parsed);
    packet.reason = translate(ref, parsed, packet, now);
    return true;
  }
  refresh(session, packet.direction, now);
  table_.count_traffic(ref, is_inbound, Family::length(packet.bytes.data()));
  Words::of(is_inbound ? session.inside : session.outside).write(packet, is_inbound);
  const unsigned sign = is_inbound ? 0xffff : 0;
  if constexpr (Family::has_header_checksum) {
    update_field(packet.bytes.data() + Family::header_checksum_offset,
                 static_cast<ChecksumDelta>(session.address_delta ^ sign));
  }
  update_transport_field(field, static_cast<ChecksumDelta>(session.transport_delta ^ sign),
                         protocol);
  packet.namespace_id = session.namespace_id;
  packet.reason = is_inbound ? Reason::translated_inbound : Reason::translated_outbound;
  return true;
}

template <class Family>
inline Reason Shard<Family>::translate(SessionRef ref, const Parsed<Family>& parsed, Packet& packet,
                                       Tick now) {
  Record& session = table_[ref];
  const bool is_outbound = packet.direction != Direction::inbound;
  const SessionState before = session.state;
  TcpEffect effect = TcpEffect::refresh;
  if (parsed.protocol == protocol::tcp) {
    const TcpSegment segment =
        read_tcp_segment(packet.bytes.data() + parsed.transport, parsed.transport_size);
    effect =
        advance(connection_of(ref), segment, is_outbound ? TcpSender::internal : TcpSender::remote);
  } else if (is_asked(before) && is_outbound == session.is_from_outside) {
    session.state = answered_state<Family>(session.protocol);
  }
  if (effect != TcpEffect::none) refresh(session, packet.direction, now);
  if (session.state != before) state_changed(ref, before, now);
  table_.count_traffic(ref, !is_outbound, Family::length(packet.bytes.data()));
  apply(is_outbound ? outbound_rewrite(session) : inbound_rewrite(session), parsed, packet);
  if (!is_outbound) {
    packet.namespace_id = session.namespace_id;
  } else if (packet.direction == Direction::hairpin) {
    packet.namespace_id = session.realm();
  }
  if (effect == TcpEffect::closed && frees_closed_at_once_) release(ref, EndCause::expired, now);
  return is_outbound ? Reason::translated_outbound : Reason::translated_inbound;
}

// Outbound packets keep a session alive, inbound ones too (RFC 4787 REQ-6), but where anybody may
// send to a mapping, anybody could keep it alive (RFC 7857 section 7).
template <class Family>
inline void Shard<Family>::refresh(Record& session, Direction direction, Tick now) {
  const bool by_anybody =
      anybody_may_send_ && direction == Direction::inbound && session.protocol != protocol::tcp;
  if (by_anybody || elapsed(session.last_active, now) <= 0) return;
  session.last_active = now;
}

extern template class Shard<Ipv4>;
extern template class Shard<Ipv6>;

}  // namespace swnat
