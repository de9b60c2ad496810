// The sessions of one shard with all that they have elsewhere: room of their namespace, a port, and
// events that tell of them. No session begins or ends but here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "engine/event_log.h"
#include "engine/new_session.h"
#include "engine/policy/namespaces.h"
#include "engine/ports/externals.h"
#include "engine/session/fits.h"
#include "engine/session/session_table.h"
#include "engine/shard_options.h"
#include "swnat/event.h"
#include "swnat/reason.h"

namespace swnat {

// A port for a new mapping, where there is no free one.
struct PortWanted {
  IpAddress external;
  std::uint8_t protocol;
  std::uint16_t like;
  // With a mapping for each session: it serves no other remote, and no other shard.
  IpEndpoint remote;
  NamespaceId realm;
};

// What the session that ends must leave, or the new one would have no external endpoint and the
// other have ended in vain.
struct Legacy {
  // Of this record only, which is the last of the mapping that the new session joins; nullptr: of
  // whichever ends. Compared, never followed: another thread may have changed it since, and then a
  // packet is dropped that need not be.
  const void* last_of_mapping = nullptr;
  std::optional<PortWanted> port{};  // nothing: no port would do
  Reason otherwise = Reason::no_free_port;
};

// A session of the namespace that has this slot shall end, the one that has to go first.
struct RoomWanted {
  std::uint32_t slot;
  bool only_over;  // else none
  std::optional<Legacy> legacy{};
};

template <class Family>
class Sessions {
 public:
  using Key = FlowKey<Family>;
  using Record = Session<Family>;
  using Forward = typename RuleBook<Family>::Forward;
  using End = Endpoint<typename Family::Address>;

  Sessions(const ShardOptions<Family>& options, std::shared_ptr<const Snapshot> snapshot,
           Externals<Family>& externals, NamespaceUses& uses);

  SessionTable<Family>& table() { return table_; }
  const SessionTable<Family>& table() const { return table_; }
  Record& operator[](SessionRef ref) { return table_[ref]; }
  EventLog<Family>& events() { return events_; }
  NamespaceUses& uses() { return uses_; }
  Externals<Family>& externals() { return externals_; }
  const Secret& secret() const { return secret_; }
  std::uint32_t shard() const { return number_; }
  std::uint32_t shards() const { return shards_; }

  // --- the policy

  const Policy& policy() const { return snapshot_->policy(); }
  const NamespaceEntry* find_namespace(NamespaceId id) const { return snapshot_->find(id); }
  const RuleBook<Family>& rules() const { return snapshot_->template rules<Family>(); }
  // From the policy, as every packet needs them.
  bool frees_closed_at_once() const { return frees_closed_at_once_; }
  bool anybody_may_send() const { return anybody_may_send_; }
  void set_snapshot(std::shared_ptr<const Snapshot> snapshot);
  // Ends the sessions that the policy does not allow, and counts the others where they are to, of
  // those at `position` and some after it, which moves on. False at the end.
  bool end_unfit(std::uint32_t& position, Tick now);
  bool fits(const Record& session) const { return swnat::fits(session, *snapshot_); }

  // --- found

  // While there is one, sessions that are over still do not match, but are left as they are. Then
  // `meets_over` becomes true; where it is null, this is no look.
  class Look {
   public:
    Look(Sessions& sessions, bool* meets_over) : sessions_(sessions) {
      sessions.meets_over_ = meets_over;
    }
    ~Look() { sessions_.meets_over_ = nullptr; }
    Look(const Look&) = delete;
    Look& operator=(const Look&) = delete;

   private:
    Sessions& sessions_;
  };
  bool is_looking() const { return meets_over_ != nullptr; }

  // An expired session never matches: it is freed on sight. Each round frees one, so the rounds of
  // all calls together are no more than the sessions that were made.
  SessionRef find_live(const Key& key, std::uint64_t hash, Tick now) {
    for (;;) {
      const SessionRef ref = table_.find(key, hash);
      if (ref == no_session || !table_.expired(table_[ref], now)) return ref;
      if (is_looking()) return find_beyond(key, ref, now);
      end(ref, EndCause::expired, now);
    }
  }
  SessionRef find_live(const Key& key, Tick now) { return find_live(key, key.hash(secret_), now); }
  // One of the mapping that the key names.
  SessionRef find_mapping(const Key& key, Tick now);
  // The session that the sender may answer by this outside, which comes from a namespace, or with 0
  // from the outside.
  SessionRef find_asked(NamespaceId sender, std::uint8_t protocol, const Leg<Family>& outside,
                        Tick now);
  // Whether no session has the new one's outside, which it hashes.
  bool is_free_outside(NewSession<Family>& wanted, std::uint8_t protocol, Tick now) {
    const Key key = wanted.outside_flow(protocol);
    wanted.flows.outside = key.hash(secret_);
    return find_live(key, wanted.flows.outside, now) == no_session;
  }

  // --- begun, changed and ended

  // Where a session counts, and up to how many may.
  struct Room {
    std::uint32_t slot;
    std::uint32_t limit;
  };
  // `forward`: by which the session comes in, nullptr for none.
  static Room room_of(const NamespaceEntry& tenant, const Forward* forward);
  // Where the policy, which has its namespace, lets it count.
  std::uint32_t slot_for(const Record& session) const;
  // Counts a session that is about to be made; returns why it may not be.
  std::optional<Reason> take_room(const Room& room);
  void give_back_room(std::uint32_t slot) { uses_.give_back(slot); }
  // What take_room() would return, were there so many sessions more in the room, and in all.
  std::optional<Reason> lacks_room(const Room& room, std::uint32_t more_there = 0,
                                   std::uint32_t more_in_all = 0) {
    return refusal_of(uses_.foretell(room.slot, room.limit, more_there, more_in_all));
  }

  // A session whose record is filled, but for its state.
  void begin(SessionRef ref, SessionState state, const NewSession<Family>& wanted, Tick now);
  void state_changed(SessionRef ref, SessionState before, Tick now);
  void end(SessionRef ref, EndCause cause, Tick now) {
    end(ref, table_.hashes_of(ref), cause, now);
  }
  void end(SessionRef ref, const KeyHashes& hashes, EndCause cause, Tick now);
  // None of which the engine took over, unlike those that ended.
  std::uint64_t made() const { return made_; }
  const EndCounts& ended() const { return ended_; }
  // Those whose time is over; looks at no more than `budget`, and returns at how many.
  std::uint32_t expire(Tick now, std::uint32_t budget);
  // All of those at `position` and some after it, which moves on: their time is over.
  void end_overslept(std::uint32_t& position, Tick now);
  // Of those at `position` and some after it, which moves on, those that are meant; returns how
  // many.
  std::size_t end_meant(const SessionPattern& pattern, std::uint32_t& position, Tick now);

  // A packet of a namespace, or to it, got no session, if the reason says so (is_refusal).
  // `external`: if it came from outside.
  void refused(Reason reason, NamespaceId id, std::uint8_t protocol, const Leg<Family>& inside,
               const std::optional<End>& external, Tick now);

  // --- who has to go (eviction.h)

  // What has to end for a new session of a namespace that is at its limit; nothing if the new one
  // is refused.
  std::optional<RoomWanted> room_wanted(NamespaceId id) const;
  // Of the new session that is refused for want of room: what it needs beside that.
  void want_legacy(const std::optional<Legacy>& legacy) { legacy_wanted_ = legacy; }
  // The one here that has to go first; nothing if there is none.
  std::optional<Candidate> first_to_go(const RoomWanted& wanted);
  // Ends that session, if it still stands as it did.
  void evict(std::uint32_t slot, const Candidate& candidate, Tick now);
  // Ends one here, where all that count there are here. False if it cannot.
  bool evict_here(const RoomWanted& wanted, Tick now);
  // The one that it would end, or no_session.
  SessionRef evictable_here(const RoomWanted& wanted);
  // The same for a namespace at its limit, which spares the other shards the question.
  bool evict_if_all_are_here(NamespaceId id, Tick now);

 private:
  static std::optional<Reason> refusal_of(NamespaceUses::Taken taken);
  SessionRef find_beyond(const Key& key, SessionRef over, Tick now) const;
  typename EventLog<Family>::Part part_of(SessionRef ref) const;
  void count_in(SessionRef ref, std::uint32_t slot);
  bool leaves(SessionRef ref, const std::optional<Legacy>& legacy);
  bool gives_port(SessionRef ref, const PortWanted& wanted);
  void read_policy();

  std::uint32_t number_;
  std::uint32_t shards_;
  Secret secret_;
  std::shared_ptr<const Snapshot> snapshot_;
  bool frees_closed_at_once_ = false;
  bool anybody_may_send_ = false;
  // From the moment that the policy changes until end_unfit() has seen all.
  bool may_have_unfit_ = false;
  bool* meets_over_ = nullptr;  // of the look that there is
  std::optional<Legacy> legacy_wanted_;
  Externals<Family>& externals_;
  NamespaceUses& uses_;
  SessionTable<Family> table_;
  EventLog<Family> events_;
  std::uint64_t made_ = 0;
  EndCounts ended_{};
};

extern template class Sessions<Ipv4>;
extern template class Sessions<Ipv6>;

}  // namespace swnat
