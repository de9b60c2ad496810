// What the engine tells of sessions and port blocks, against what the model knows of them.
//
// The model says at each step which sessions must be told as made and which as ended, and why. One
// whose time is over may be told as ended at any later step, and must be by the time that the
// engine no longer counts it. By what was told the ledger knows which sessions, mappings and port
// blocks the engine has.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "tests/property/session.h"

namespace swnat::property {

// A packet that was refused, as it was given.
struct Refused {
  std::string_view reason;
  Direction direction;
  NamespaceId tenant;
  IpEndpoint source;
  IpEndpoint destination;
};

class EventLedger {
 public:
  // By the model, in a step.
  void made(const ModelSession& session) { to_be_made_.insert(name_of(session)); }
  void ended(const ModelSession& session, EndCause cause) {
    to_be_ended_.emplace(name_of(session), cause);
  }
  void expired(const ModelSession& session) {
    over_.emplace(name_of(session), cause_of_time(session));
  }
  void revived(const ModelSession& session) { over_.erase(over_.find(name_of(session))); }
  void refused(const Refused& packet) { refused_ = packet; }

  // At the step's end: what was told in it, and what the engine counts then, and has for blocks.
  void judge(std::span<const Event> told, bool is_new_policy,
             const std::map<NamespaceId, std::uint32_t>& counts,
             const std::vector<PortBlockView>& blocks);

  // Why it is over by itself.
  static EndCause cause_of_time(const ModelSession& session);

 private:
  void enter(const Event& event, bool is_new_policy);
  void enter_made(const Event& event);
  void enter_ended(const Event& event, bool is_new_policy);
  void enter_mapping(const Event& event);
  void enter_refused(const Event& event);
  void enter_block(const Event& event);
  void check_blocks(const std::vector<PortBlockView>& blocks) const;
  void check_counts(const std::map<NamespaceId, std::uint32_t>& counts) const;

  struct Mapping {
    int sessions = 0;
    EndCause last_cause = EndCause::none;
  };

  std::multiset<std::string> to_be_made_;
  std::multimap<std::string, EndCause> to_be_ended_;
  std::multimap<std::string, EndCause> over_;
  std::optional<Refused> refused_;
  // As told.
  std::multiset<std::string> sessions_;
  std::map<NamespaceId, std::uint32_t> counts_;
  std::map<std::string, Mapping> mappings_;
  std::map<std::string, PortBlockView> blocks_;
};

}  // namespace swnat::property
