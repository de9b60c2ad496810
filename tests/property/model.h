// A NAT that is slow and obviously right: lists that are searched from one end to the other,
// written from the RFCs and the engine's documentation, sharing no code with it.
//
// Theory of operation
//
// The model is given each packet with what the engine made of it, decides what should have come of
// it, and throws a Disagreement if that is something else. Where the engine is free to choose (a
// port, one of two sessions that are equally old) the model does not predict: it looks what was
// chosen, checks that it was allowed, and goes on from there.
//
// Expired sessions match nothing, but until the engine has looked at them they count to the
// namespace's limit and hold their port. The model keeps them in `expired_`, as what may or may not
// still be there.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <set>

#include "tests/property/event_ledger.h"
#include "tests/property/port_ledger.h"
#include "tests/property/session.h"

namespace swnat::property {

struct Given {
  Direction direction;
  NamespaceId tenant;
  ChecksumState checksum;
  Bytes bytes;
  Time now;
};

struct Seen {
  std::string_view reason;
  Bytes bytes;
  NamespaceId tenant;
  std::map<Room, std::uint32_t> counts_before;  // Witness::counts() before the packet
  std::vector<PortBlockView> blocks_before = {};
};

struct ModelOptions {
  std::uint32_t shards = 1;
  std::uint32_t max_sessions = 4096;
  // The namespaces that this model follows; others of the engine are nobody's business here.
  NamespaceRange tenants = {};
  // Whether no one else takes ports: else which are free is not known.
  bool owns_ports = true;
};

class Model {
 public:
  Model(const ModelOptions& options, Policy policy, Witness& witness)
      : options_(options), policy_(std::move(policy)), witness_(witness) {}

  // Sessions whose time is over by then are over. All that follows does this first.
  void travel(Time now);
  // What came of one packet.
  void judge(const Given& given, const Seen& seen);
  // After Engine::set_policy().
  void configure(Policy policy, Time now);
  // After Engine::expire() of all shards until nothing was due.
  void swept(Time now);
  // After Engine::end_sessions() until its end: what was listed for the pattern before, and how
  // many ended.
  void flushed(const SessionPattern& pattern, const std::vector<SessionView>& listed,
               std::size_t ended, Time now);
  // What the engine told in a step, after all else of it.
  void judge_events(std::span<const Event> told, bool is_new_policy);
  // The engine's sessions and counts, against the model's.
  void check_counts(Time now);
  void check_sessions(Time now);
  // While others send packets, what ended or overflowed meanwhile may be missing.
  void check_traffic(bool is_at_rest);

  const Sessions& sessions() const { return sessions_; }
  const Policy& policy() const { return policy_; }
  bool owns_ports() const { return options_.owns_ports; }
  Time timeout_of(const ModelSession& session) const;
  // For steps that name a flow by its inside.
  const ModelSession* find_inside(NamespaceId tenant, std::uint8_t protocol,
                                  const IpEndpoint& internal, const IpEndpoint& remote) const;
  const ModelSession* find_mapping(NamespaceId tenant, std::uint8_t protocol,
                                   const IpEndpoint& internal) const;
  bool is_external(const IpAddress& address) const;
  // Where an outbound packet goes by the rules.
  IpEndpoint redirected(NamespaceId tenant, std::uint8_t protocol, const IpEndpoint& remote) const;

 private:
  using Reasons = std::set<std::string_view>;
  struct Dropped {
    Reasons reasons;
  };
  struct Expected {
    Reasons reasons;
    Bytes bytes;
    std::optional<NamespaceId> receiver;
  };

  // The packet's life (model.cpp).
  Expected expect(const Given& given);
  Expected send(const Given& given, const Message& message);
  Expected receive(const Bytes& bytes, const Message& message);
  Sessions::iterator find_asked(NamespaceId sender, std::uint8_t protocol,
                                const IpEndpoint& external, const IpEndpoint& source);
  Expected deliver(Sessions::iterator session, const Bytes& bytes, const Message& message);
  Expected delivered(const ModelSession& session, const Bytes& bytes) const;
  bool has_owner(const Message& message) const;
  bool asks_for_owner(const Given& given, const Message& message);
  Expected hairpin(const Given& given, const Message& message);
  Expected hairpin_error(const Given& given, const Message& message);
  Expected error_about_sent(const Bytes& bytes, const Message& message, NamespaceId sender);
  Expected error_about_delivered(const Given& given, const Message& message);
  Message quoted(const Bytes& bytes, const Message& message) const;
  bool follow(ModelSession& session, const Message& message, Side from);
  void count_traffic(ModelSession& session, const Message& message, Side from);
  void refuse_unknown(const Message& message, Direction direction) const;
  void check_outcome(const Given& given, const Expected& expected) const;
  void check_bytes(const Given& given, Bytes expected) const;

  // Fragments (model_fragments.cpp).
  void judge_later(const Given& given);
  void remember_first(const Given& given);

  // New sessions (model_sessions.cpp).
  Sessions::iterator find_outside(const ModelSession& like);
  Sessions::iterator establish_out(NamespaceId tenant, const Message& message);
  Sessions::iterator establish_in(const Message& message);
  Sessions::iterator add(ModelSession session, const Message& message, Side from);
  void refuse(const Message& message) const;
  void refuse_addresses(const Message& message) const;
  void make_room(const ModelSession& session, bool only_over);
  Sessions::iterator last_of_mapping(const ModelSession& session);
  void check_lost_mapping(const ModelSession& session, const ModelSession& last) const;
  void check_inbound_room(const ModelSession& session) const;
  void check_table(const ModelSession& session) const;
  void check_shard(const ModelSession& session) const;
  void check_age(ModelSession& session, std::vector<Time> allowed);
  bool was_made(const ModelSession& session) const;
  std::int64_t counted(const Room& room) const;
  const ModelSession* permitting(const Message& message) const;

  // What became of a first fragment.
  struct Fate {
    std::string_view reason;
    NamespaceId receiver;
    Bytes came;
    Bytes left;
  };

  // Ports (model_ports.cpp).
  IpEndpoint chosen_external(const ModelSession& session);
  IpEndpoint observed_external(const ModelSession& session) const;
  PortState port_state(const ModelSession& session, const IpEndpoint& external) const;
  PortState expired_state(const ModelSession& session, const IpEndpoint& external) const;
  bool collides(const ModelSession& one, const ModelSession& with,
                const IpEndpoint& external) const;
  void check_address(const ModelSession& session, const IpEndpoint& external);
  void check_port(const ModelSession& session, const IpEndpoint& external) const;
  void check_longest_rest(const ModelSession& session, const IpEndpoint& external) const;
  void check_exhausted(const ModelSession& session) const;
  struct PortCount {
    std::uint32_t surely;
    std::uint32_t at_most;
  };
  PortCount ports_of(NamespaceId tenant) const;
  void check_port_limit(const ModelSession& session) const;
  std::optional<std::uint16_t> find_port(const std::function<bool(std::uint16_t)>& wanted) const;
  std::array<bool, 2> sees_all(const ModelSession& session) const;
  int rank_of(const ModelSession& session, std::uint16_t port) const;
  std::vector<IpAddress> addresses_of(NamespaceId tenant, bool v6) const;
  std::vector<IpAddress> possible_addresses(const ModelSession& session) const;

  // Blocks of ports (model_blocks.cpp).
  bool has_blocks() const { return policy_.has_port_blocks(); }
  bool is_own(const PortBlockView& block, const ModelSession& session,
              const IpAddress& external) const;
  bool may_be_gone(const PortBlockView& block) const;
  PortLedger::Began rest_of(const PortBlockView& block) const;
  std::optional<std::uint16_t> free_within(const PortRange& ports, const ModelSession& session,
                                           const IpAddress& external, int better_than) const;
  std::optional<PortRange> free_run(std::uint32_t size, const ModelSession& session,
                                    const IpAddress& external) const;
  void check_port_in_blocks(const ModelSession& session, const IpEndpoint& external) const;
  void check_new_block(const PortBlockView& block, const ModelSession& session,
                       const IpAddress& external) const;
  bool has_room_in_blocks(const ModelSession& session, const IpAddress& external) const;
  void check_blocks();
  void check_block_shape(const std::vector<PortBlockView>& blocks) const;
  void check_block_uses(const std::vector<PortBlockView>& blocks) const;
  void check_rested_blocks() const;
  void follow_rests(const std::vector<PortBlockView>& blocks);

  // Rules and changes of them (model_policy.cpp).
  const NamespacePolicy* policy_of(NamespaceId tenant) const;
  bool is_dropped(NamespaceId tenant, std::uint8_t protocol, const IpEndpoint& remote) const;
  bool is_untranslated(NamespaceId tenant, const IpAddress& destination) const;
  NamespaceId realm_of(NamespaceId tenant, const IpEndpoint& from, const IpEndpoint& to) const;
  const ForwardRule* forward_to(std::uint8_t protocol, const IpEndpoint& external) const;
  const ForwardRule* forward_from(NamespaceId tenant, std::uint8_t protocol,
                                  const IpEndpoint& internal) const;
  void revive(const std::set<std::string>& shown, Time now);
  bool fits(const ModelSession& session) const;
  void end_unfit(const std::set<std::string>& shown, Time now);
  void enforce_limits(const std::set<std::string>& shown);

  // Time and counts (model_checks.cpp).
  void end(Sessions::iterator session, EndCause cause, Time now);
  std::vector<std::list<ExpiredSession>::iterator> set_over(
      const std::function<std::optional<Time>(const ModelSession&)>& over_since);
  void forget(std::list<ExpiredSession>::iterator expired, Time now);
  void doubt_ports(NamespaceId tenant);
  Room room_of(const ModelSession& session) const;
  std::uint32_t limit_of(const Room& room) const;
  std::uint32_t live(const Room& room) const;
  std::uint32_t perhaps(const Room& room) const;
  void check_port_counts();
  bool is_mapped(const ModelSession& like) const;
  bool all_rest(const ModelSession& like) const;
  std::set<std::string> shown() const;

  ModelOptions options_;
  Policy policy_;
  Witness& witness_;
  Sessions sessions_;
  std::list<ExpiredSession> expired_;
  PortLedger ledger_;
  std::map<std::pair<NamespaceId, Bytes>, Fate> fates_;  // of datagrams, by their sender
  EventLedger events_;
  std::vector<PortBlockView> blocks_;  // as they were when they were last looked at
  std::map<std::string, PortLedger::Began> resting_blocks_;  // since when those rest that do
  std::map<std::pair<NamespaceId, std::string>, IpAddress> paired_;
  std::map<NamespaceId, TwoWayTraffic> traffic_;  // also of sessions that are gone
  Time now_{0};
  Time slow_until_{0};  // until then the engine may look at sessions later than when they expire
  const Seen* seen_ = nullptr;
  std::map<Room, std::int64_t> made_;  // sessions, by this packet, less those evicted
};

}  // namespace swnat::property
