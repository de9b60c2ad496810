#include "tests/property/event_ledger.h"

#include <algorithm>

#include "tests/property/cast.h"

namespace swnat::property {
namespace {

std::string text(const Event& event) {
  return std::string(name_of(event.kind)) + " " + std::string(name_of(event.cause)) + " " +
         name_of(event);
}

// Protocols without ports, and mappings of one session each, are told with their remote.
std::string mapping_of(const Event& event, const IpEndpoint& remote) {
  Event mapping = event;
  mapping.remote = remote;
  return name_of(mapping);
}

bool is_unspecified(const IpEndpoint& endpoint) {
  return endpoint == IpEndpoint{Ipv4Address{}, 0} || endpoint == IpEndpoint{Ipv6Address{}, 0};
}

}  // namespace

EndCause EventLedger::cause_of_time(const ModelSession& session) {
  if (session.state() == "closing") return EndCause::closed;
  if (session.state() == "reset") return EndCause::reset;
  return EndCause::expired;
}

void EventLedger::judge(std::span<const Event> told, bool is_new_policy,
                        const std::map<NamespaceId, std::uint32_t>& counts,
                        const std::vector<PortBlockView>& blocks) {
  for (const Event& event : told) enter(event, is_new_policy);
  if (!to_be_made_.empty()) throw Disagreement("not told as made: " + *to_be_made_.begin());
  if (!to_be_ended_.empty()) {
    throw Disagreement("not told as ended: " + to_be_ended_.begin()->first);
  }
  if (refused_) throw Disagreement("not told as refused: " + std::string(refused_->reason));
  for (const auto& [name, mapping] : mappings_) {
    if (mapping.sessions == 0) throw Disagreement("a mapping without sessions: " + name);
  }
  check_counts(counts);
  check_blocks(blocks);
}

void EventLedger::enter(const Event& event, bool is_new_policy) {
  switch (event.kind) {
    case EventKind::session_made:
      enter_made(event);
      return;
    case EventKind::session_ended:
      enter_ended(event, is_new_policy);
      return;
    case EventKind::mapping_made:
    case EventKind::mapping_ended:
      enter_mapping(event);
      return;
    case EventKind::refused:
      enter_refused(event);
      return;
    case EventKind::block_taken:
    case EventKind::block_given_up:
      enter_block(event);
      return;
    default:
      throw Disagreement("nobody expects " + text(event));
  }
}

void EventLedger::enter_made(const Event& event) {
  const auto wanted = to_be_made_.find(name_of(event));
  if (wanted == to_be_made_.end()) throw Disagreement("the model did not make it: " + text(event));
  sessions_.insert(*wanted);
  to_be_made_.erase(wanted);
  ++counts_[event.namespace_id];
  auto mapping = mappings_.find(mapping_of(event, event.remote));
  if (mapping == mappings_.end()) mapping = mappings_.find(mapping_of(event, {}));
  if (mapping == mappings_.end()) throw Disagreement("of no mapping: " + text(event));
  ++mapping->second.sessions;
}

void EventLedger::enter_ended(const Event& event, bool is_new_policy) {
  const std::string name = name_of(event);
  const auto there = sessions_.find(name);
  if (there == sessions_.end()) throw Disagreement("was not there: " + text(event));
  const auto [first, last] = to_be_ended_.equal_range(name);
  const auto wanted =
      std::find_if(first, last, [&](const auto& one) { return one.second == event.cause; });
  const auto over = over_.find(name);
  if (wanted != last) {
    to_be_ended_.erase(wanted);
  } else if (over != over_.end() &&
             (over->second == event.cause || event.cause == EndCause::evicted ||
              (event.cause == EndCause::policy && is_new_policy))) {
    over_.erase(over);
  } else {
    throw Disagreement("the model did not end it so: " + text(event));
  }
  sessions_.erase(there);
  --counts_[event.namespace_id];
  auto mapping = mappings_.find(mapping_of(event, event.remote));
  if (mapping == mappings_.end()) mapping = mappings_.find(mapping_of(event, {}));
  if (mapping == mappings_.end()) throw Disagreement("of no mapping: " + text(event));
  --mapping->second.sessions;
  mapping->second.last_cause = event.cause;
}

void EventLedger::enter_mapping(const Event& event) {
  const IpEndpoint remote = is_unspecified(event.remote) ? IpEndpoint{} : event.remote;
  const auto [mapping, is_new] = mappings_.try_emplace(mapping_of(event, remote));
  if (event.kind == EventKind::mapping_made) {
    if (!is_new) throw Disagreement("twice: " + text(event));
    return;
  }
  if (mapping->second.last_cause != event.cause) {
    throw Disagreement("its last session ended otherwise: " + text(event));
  }
  if (mapping->second.sessions != 0) throw Disagreement("has sessions: " + text(event));
  mappings_.erase(mapping);
}

void EventLedger::enter_refused(const Event& event) {
  if (!refused_ || refused_->reason != info(event.reason).name) {
    throw Disagreement("the model did not refuse: " + text(event));
  }
  const Refused packet = *refused_;
  refused_.reset();
  // A hairpin may be refused at either half.
  const Direction direction = packet.direction;
  bool is_right = false;
  if (event.is_from_outside) {
    is_right = direction == Direction::hairpin ||
               (direction == Direction::inbound && event.external == packet.destination &&
                event.remote == packet.source);
  } else {
    is_right = direction != Direction::inbound && event.namespace_id == packet.tenant &&
               event.internal == packet.source && event.remote == packet.destination &&
               is_unspecified(event.external);
  }
  if (!is_right) throw Disagreement("another packet was refused: " + text(event));
}

void EventLedger::enter_block(const Event& event) {
  const auto last = static_cast<std::uint16_t>(event.external.port + event.count - 1);
  const PortBlockView block{
      event.namespace_id, event.external.address, {event.external.port, last}};
  if (event.kind == EventKind::block_given_up) {
    if (blocks_.erase(name_of(block)) == 0) throw Disagreement("was not there: " + text(event));
    return;
  }
  for (const auto& [name, other] : blocks_) {
    if (overlap(block, other)) throw Disagreement(text(event) + " overlaps " + name);
  }
  blocks_.emplace(name_of(block), block);
}

void EventLedger::check_blocks(const std::vector<PortBlockView>& blocks) const {
  for (const PortBlockView& one : blocks) {
    if (!blocks_.contains(name_of(one))) throw Disagreement("not told as taken: " + name_of(one));
  }
  if (blocks.size() != blocks_.size()) throw Disagreement("a block was not told as given up");
}

void EventLedger::check_counts(const std::map<NamespaceId, std::uint32_t>& counts) const {
  const auto told = [&](NamespaceId tenant) {
    const auto found = counts_.find(tenant);
    return found == counts_.end() ? 0 : found->second;
  };
  std::uint32_t known = 0;
  for (const auto& [tenant, count] : counts) {
    known += count;
    if (told(tenant) == count) continue;
    throw Disagreement("namespace " + std::to_string(tenant) + " has " + std::to_string(count) +
                       " sessions, by what was told " + std::to_string(told(tenant)));
  }
  if (known != sessions_.size()) throw Disagreement("told of sessions in no namespace");
}

}  // namespace swnat::property
