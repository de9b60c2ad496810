// One single-threaded NAT: the sessions whose port bits are its own. Its owner holds `mutex` around
// every call but key hashing and prefetching.
//
// It decides: who may have a session, with which external endpoint, and what a packet does to it.
// The sessions themselves are in a SessionTable.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/externals.h"
#include "engine/family.h"
#include "engine/icmp_error.h"
#include "engine/namespaces.h"
#include "engine/parse.h"
#include "engine/session_table.h"

namespace swnat {

template <class Family>
struct ShardOptions {
  std::uint32_t number;
  std::uint32_t shards;
  Secret secret;
  std::span<Session<Family>> records;  // this shard's part of the session memory
  std::uint32_t& used;                 // how many of the records were ever used
};

template <class Family>
class alignas(64) Shard {
 public:
  using Key = FlowKey<Family>;
  using Record = Session<Family>;

  Shard(const ShardOptions<Family>& options, std::shared_ptr<const Snapshot> snapshot,
        Externals<Family>& externals, NamespaceUses& uses);

  std::mutex mutex;

  // Takes over the sessions that its records hold, once, before any packet.
  void adopt();

  const Index& index() const { return table_.index(); }

  // For the batch, in two steps: a session worth fetching, and what came of it.
  SessionRef candidate(std::uint64_t hash) const { return table_.candidate(hash); }
  // Translates the packet if `ref` is its live session; nothing if not, and then nothing is
  // changed.
  std::optional<Reason> translate_established(SessionRef ref, const Key& key,
                                              const Parsed<Family>& parsed, Packet& packet,
                                              Tick now);

  // One packet: finds its session or establishes one. For outbound packets of a namespace that is
  // at its limit, `at_limit` is returned with nothing changed.
  struct Outcome {
    Reason reason;
    std::optional<std::uint32_t> at_limit = {};  // the namespace's slot
  };
  Outcome outbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  // `realm`: the namespace that the sender is in, 0 for the outside. From within a namespace only
  // packets of sessions that are there already come in.
  Reason inbound(NamespaceId realm, const Parsed<Family>& parsed, Packet& packet, Tick now);

  // An ICMP error about a packet of one of its sessions: that it sent into the realm, or delivered.
  Reason error_about_sent(NamespaceId realm, const Parsed<Family>& parsed,
                          const Quoted<Family>& quoted, Packet& error, Tick now);
  Reason error_about_delivered(const Parsed<Family>& parsed, const Quoted<Family>& quoted,
                               Packet& error, Tick now);

  // What a rule says of a packet that no session can be made of: dropped or untranslated, or
  // nothing.
  std::optional<Reason> rule_for(NamespaceId id, const Parsed<Family>& parsed) const;

  // Looks at no more than `budget` sessions; returns at how many.
  std::uint32_t expire(Tick now, std::uint32_t budget);

  // When the namespace's least recently active session here was last active; nothing if it has
  // none.
  std::optional<Tick> oldest(std::uint32_t slot);
  // Ends that session if it was last active then. False if it was not, or there is none.
  bool evict_oldest(std::uint32_t slot, Tick last_active);

  // Follows a new policy from now on.
  void set_snapshot(std::shared_ptr<const Snapshot> snapshot);
  // Ends the sessions that the policy does not allow, of those at `position` and some after it,
  // which moves on. False at the end.
  bool end_unfit(std::uint32_t& position, Tick now);

  void count(Reason reason) { ++counters_[static_cast<std::size_t>(reason)]; }
  const Counters& counters() const { return counters_; }
  std::uint32_t session_count() const { return table_.count(); }

  std::size_t copy_sessions(std::uint32_t& position, std::span<SessionView> out, Tick now) const {
    return table_.copy(position, out, now);
  }
  bool is_end(std::uint32_t position) const { return position >= table_.used(); }

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
  // What a new session is made of, beside what the packet says.
  struct Plan {
    const Tenant& tenant;
    External external;
    Leg<Family> inside;
    Leg<Family> outside;
    bool remote_is_inside = false;
  };

  SessionRef find_live(const Key& key, Tick now);
  SessionRef find_mapping(const Key& key, Tick now);
  Reason translate(SessionRef ref, const Parsed<Family>& parsed, Packet& packet, Tick now);
  void refresh(Record& session, Direction direction, Tick now);
  void release(SessionRef ref, Tick now, PortSpace::Rest rest = PortSpace::Rest::full);

  std::optional<Reason> take_use(const Tenant& tenant);
  Outcome establish_outbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason establish_inbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  std::optional<Reason> refuses(const Parsed<Family>& parsed) const;
  SessionRef permitting(SessionRef mapping, const Parsed<Family>& parsed, Tick now);
  std::optional<Reason> choose_external(Plan& plan, std::uint8_t protocol, Tick now);
  std::optional<Reason> choose_port_for_remote(Plan& plan, std::uint8_t protocol, Tick now);
  bool is_free_for_remote(const Plan& plan, std::uint8_t protocol, Tick now);
  std::optional<std::uint16_t> take_port(const Plan& plan, std::uint8_t protocol, Tick now);
  Reason establish(const Plan& plan, const Parsed<Family>& parsed, Packet& packet, Tick now);

  bool adopt(SessionRef ref);
  bool is_sound(const Record& session) const;
  bool fits(const Record& session) const;

  const RuleBook<Family>& rules() const { return snapshot_->rules<Family>(); }
  Address paired_address(const Tenant& tenant, const Address& internal) const;
  const std::vector<Address>& addresses_for(const Tenant& tenant) const;
  void read_policy();

  std::uint32_t number_;
  std::uint32_t shards_;
  Secret secret_;
  std::shared_ptr<const Snapshot> snapshot_;
  // From the policy, as every packet needs them.
  bool frees_closed_at_once_ = false;
  bool anybody_may_send_ = false;
  Externals<Family>& externals_;
  NamespaceUses& uses_;
  SessionTable<Family> table_;
  Random random_;
  Counters counters_{};
};

extern template class Shard<Ipv4>;
extern template class Shard<Ipv6>;

}  // namespace swnat
