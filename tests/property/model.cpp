#include "tests/property/model.h"

#include <algorithm>

namespace swnat::property {

void Model::judge(const Given& given, const Seen& seen) {
  travel(given.now);
  seen_ = &seen;
  made_.clear();
  if (is_later_fragment(given.bytes)) {
    judge_later(given);
    seen_ = nullptr;
    return;
  }
  Expected expected;
  try {
    expected = expect(given);
  } catch (const Dropped& dropped) {
    expected = {dropped.reasons, {}, {}};
  }
  check_outcome(given, expected);
  if (is_fragment(given.bytes)) remember_first(given);
  const Reasons refusals = {"dropped_by_rule", "session_limit", "port_limit",
                            "table_full",      "no_free_port",  "remote_in_use"};
  if (refusals.contains(seen.reason)) {
    const Ends ends = read(given.bytes).ends;
    events_.refused({seen.reason, given.direction, given.tenant, ends.source, ends.destination});
  }
  seen_ = nullptr;
}

void Model::check_outcome(const Given& given, const Expected& expected) const {
  if (!expected.reasons.contains(seen_->reason)) {
    std::string wanted;
    for (const std::string_view reason : expected.reasons) wanted += " " + std::string(reason);
    throw Disagreement("the engine says " + std::string(seen_->reason) + ", the model" + wanted);
  }
  if (expected.bytes.empty()) {
    const bool is_same = seen_->bytes == given.bytes && seen_->tenant == given.tenant;
    if (!is_same) throw Disagreement("a packet that is not translated was changed");
    return;
  }
  check_bytes(given, expected.bytes);
  if (expected.receiver && *expected.receiver != seen_->tenant) {
    throw Disagreement("it reaches namespace " + std::to_string(seen_->tenant) + ", the model's " +
                       std::to_string(*expected.receiver));
  }
}

void Model::check_bytes(const Given& given, Bytes expected) const {
  // What a router may still cut gets an identification of the NAT's own (RFC 6864).
  const bool leaves = is_fragment(given.bytes) ? seen_->reason != "untranslated"
                                               : seen_->reason == "translated_outbound" ||
                                                     seen_->reason == "translated_hairpin";
  if (leaves && given.direction != Direction::inbound && may_be_cut(given.bytes)) {
    copy_identification(expected, seen_->bytes);
  }
  if (with_one_zero(seen_->bytes, given.checksum) == with_one_zero(expected, given.checksum)) {
    return;
  }
  const Ends is = read(seen_->bytes).ends;
  const Ends wanted = read(expected).ends;
  throw Disagreement("the packet is " + text(is.source) + " > " + text(is.destination) +
                     ", the model's is " + text(wanted.source) + " > " + text(wanted.destination) +
                     (is == wanted ? ": other bytes differ" : ""));
}

Model::Expected Model::expect(const Given& given) {
  const Message message = read(given.bytes);
  const bool v6 = is_v6(message.ends.source.address);
  if (v6 ? policy_.external.v6.empty() : policy_.external.v4.empty()) {
    throw Dropped{{"no_external_address"}};
  }
  refuse_unknown(message, given.direction);
  const bool is_error = message.kind == Kind::icmp_error;
  Expected expected;
  switch (given.direction) {
    case Direction::outbound:
      expected = is_error ? error_about_delivered(given, message) : send(given, message);
      break;
    case Direction::inbound:
      expected =
          is_error ? error_about_sent(given.bytes, message, 0) : receive(given.bytes, message);
      break;
    case Direction::hairpin:
      expected = hairpin(given, message);
      break;
  }
  const bool translated = !expected.reasons.contains("untranslated");
  const bool has_sum = message.kind != Kind::other && !is_error;
  if (translated && has_sum && given.checksum != ChecksumState::complete) {
    // Segments that are still joined get their own sums later, but TCP's is written in full.
    if (given.checksum == ChecksumState::segmented && message.kind == Kind::udp) {
      set_pseudo_sum(expected.bytes);
    } else {
      complete_sum(expected.bytes);
    }
  }
  return expected;
}

// What no NAT session can follow.
void Model::refuse_unknown(const Message& message, Direction direction) const {
  const bool inbound = direction == Direction::inbound;
  const bool wrong_way = (message.kind == Kind::echo_request && inbound) ||
                         (message.kind == Kind::echo_reply && !inbound);
  if (!wrong_way && message.kind != Kind::icmp_other) return;
  throw Dropped{{direction == Direction::outbound ? "icmp_unsupported" : "foreign_icmp"}};
}

// A packet of the session's was seen. Whether the session is freed for it.
bool Model::follow(ModelSession& session, const Message& message, Side from) {
  if ((from == Side::remote) != session.from_outside) session.answered = true;
  TcpModel::Effect effect = TcpModel::Effect::active;
  if (session.protocol == ip::tcp) effect = session.tcp.take(message.segment, from);
  // RFC 7857 section 7: where anybody may send, anybody could keep a mapping alive.
  const bool by_anybody = policy_.filtering == Filtering::endpoint_independent &&
                          from == Side::remote && session.protocol != ip::tcp;
  if (effect != TcpModel::Effect::ignored && !by_anybody) session.last_active = now_;
  return effect == TcpModel::Effect::ended && policy_.timeouts.tcp_transitory.count() == 0;
}

Model::Expected Model::send(const Given& given, const Message& message) {
  const Ends& ends = message.ends;
  auto session = std::ranges::find_if(sessions_, [&](const ModelSession& one) {
    return one.tenant == given.tenant && one.protocol == message.protocol &&
           one.internal == ends.source && one.inside_remote == ends.destination;
  });
  bool is_over = false;
  if (session != sessions_.end()) {
    is_over = follow(*session, message, Side::internal);
  } else {
    if (policy_of(given.tenant) == nullptr) throw Dropped{{"unknown_namespace"}};
    if (is_dropped(given.tenant, message.protocol, ends.destination)) {
      throw Dropped{{"dropped_by_rule"}};
    }
    const bool stays =
        redirected(given.tenant, message.protocol, ends.destination) == ends.destination;
    if (stays && is_untranslated(given.tenant, ends.destination.address)) {
      return {{"untranslated"}, given.bytes, {}};
    }
    session = establish_out(given.tenant, message);
  }
  count_traffic(*session, message, Side::internal);
  Expected expected{{"translated_outbound"}, given.bytes, {}};
  rewrite(expected.bytes, 0, {session->external, session->outside_remote});
  if (given.direction == Direction::hairpin) expected.receiver = session->realm;
  if (is_over) end(session, EventLedger::cause_of_time(*session), now_);
  return expected;
}

Model::Expected Model::receive(const Bytes& bytes, const Message& message) {
  auto session = find_asked(0, message.protocol, message.ends.destination, message.ends.source);
  if (session != sessions_.end()) return deliver(session, bytes, message);
  session = establish_in(message);
  count_traffic(*session, message, Side::remote);
  return delivered(*session, bytes);
}

// The session by which the source may send to the external endpoint: from outside, or from a
// namespace that the session's packets were redirected into, or that has the session itself.
Sessions::iterator Model::find_asked(NamespaceId sender, std::uint8_t protocol,
                                     const IpEndpoint& external, const IpEndpoint& source) {
  const auto find = [&](auto&& may_come_from) {
    return std::ranges::find_if(sessions_, [&](const ModelSession& one) {
      return one.protocol == protocol && one.external == external && one.outside_remote == source &&
             may_come_from(one);
    });
  };
  const auto within = find([&](const ModelSession& one) { return one.realm == sender; });
  if (sender == 0 || within != sessions_.end()) return within;
  return find([&](const ModelSession& one) { return one.realm == 0 && one.tenant == sender; });
}

Model::Expected Model::deliver(Sessions::iterator session, const Bytes& bytes,
                               const Message& message) {
  const bool is_over = follow(*session, message, Side::remote);
  count_traffic(*session, message, Side::remote);
  Expected expected = delivered(*session, bytes);
  if (is_over) end(session, EventLedger::cause_of_time(*session), now_);
  return expected;
}

Model::Expected Model::delivered(const ModelSession& session, const Bytes& bytes) const {
  Expected expected{{"translated_inbound"}, bytes, session.tenant};
  rewrite(expected.bytes, 0, {session.inside_remote, session.internal});
  return expected;
}

// Whether the destination of a packet is some namespace's, be the packet permitted or not.
bool Model::has_owner(const Message& message) const {
  const Ends& ends = message.ends;
  if (!has_ports(message.protocol)) return false;
  if (forward_to(message.protocol, ends.destination) != nullptr) return true;
  const bool shares = policy_.mapping == Mapping::endpoint_independent;
  return std::ranges::any_of(sessions_, [&](const ModelSession& one) {
    return one.protocol == message.protocol && one.external == ends.destination &&
           (shares || (one.outside_remote == ends.source && one.realm == 0));
  });
}

// From a namespace, before it is routed. RFC 4787 REQ-9: to an external address it goes out, and in
// again, seen by the receiver as from the external endpoint. What no namespace takes is the
// gateway's: as it is, or translated if it answers the gateway or was redirected to it.
Model::Expected Model::hairpin(const Given& given, const Message& message) {
  if (message.kind == Kind::icmp_error) return hairpin_error(given, message);
  const bool is_for_gateway = !asks_for_owner(given, message);
  if (!is_for_gateway && !policy_.hairpin) throw Dropped{{"hairpin_off"}};
  Expected sent;
  try {
    const auto asked =
        find_asked(given.tenant, message.protocol, message.ends.destination, message.ends.source);
    if (is_external(message.ends.destination.address) && asked != sessions_.end()) {
      return deliver(asked, given.bytes, message);
    }
    sent = send(given, message);
  } catch (const Dropped& dropped) {
    if (dropped.reasons.contains("unknown_namespace")) throw Dropped{{"foreign_fwmark"}};
    const bool is_foreign = !is_for_gateway && dropped.reasons.contains("tcp_not_syn");
    if (is_foreign) throw Dropped{{"foreign_segment"}};
    throw;
  }
  const Message second = read(sent.bytes);
  const bool is_answer = second.kind != Kind::echo_request;  // what comes in
  if (sent.reasons.contains("untranslated") || !is_answer ||
      !is_external(second.ends.destination.address)) {
    return sent;
  }
  try {
    if (!policy_.hairpin) throw Dropped{{has_owner(second) ? "hairpin_off" : "no_mapping"}};
    Expected expected = receive(sent.bytes, second);
    expected.reasons = {"translated_hairpin"};
    return expected;
  } catch (const Dropped& dropped) {
    const Reasons passing = {"no_mapping", "filtered", "answer_in_use", "foreign_segment"};
    if (is_for_gateway && std::ranges::includes(passing, dropped.reasons)) return sent;
    throw;
  }
}

// Whether what becomes of a namespace's packet depends on who has its destination. Throws if nobody
// has.
bool Model::asks_for_owner(const Given& given, const Message& message) {
  const Ends& ends = message.ends;
  if (!is_external(ends.destination.address)) return false;
  if (find_asked(given.tenant, message.protocol, ends.destination, ends.source) !=
      sessions_.end()) {
    return false;
  }
  const ModelSession* own =
      find_inside(given.tenant, message.protocol, ends.source, ends.destination);
  if (own != nullptr) return !own->from_outside;
  if (policy_of(given.tenant) == nullptr ||
      is_dropped(given.tenant, message.protocol, ends.destination) ||
      redirected(given.tenant, message.protocol, ends.destination) != ends.destination ||
      is_untranslated(given.tenant, ends.destination.address)) {
    return false;
  }
  if (message.kind == Kind::echo_request) throw Dropped{{"foreign_icmp"}};
  if (!has_owner(message)) throw Dropped{{"no_mapping"}};
  return true;
}

Model::Expected Model::hairpin_error(const Given& given, const Message& message) {
  try {
    return error_about_sent(given.bytes, message, given.tenant);
  } catch (const Dropped& dropped) {
    if (!dropped.reasons.contains("icmp_error_unmatched")) throw;
  }
  const Expected sent = error_about_delivered(given, message);
  const Message second = read(sent.bytes);
  if (sent.reasons.contains("untranslated") || !is_external(second.ends.destination.address)) {
    return sent;
  }
  try {
    Expected expected = error_about_sent(sent.bytes, second, 0);
    expected.reasons = {"translated_hairpin"};
    return expected;
  } catch (const Dropped&) {  // about what the gateway sent
    return sent;
  }
}

// RFC 5508: the packet that an error quotes says which session it is about.
Message Model::quoted(const Bytes& bytes, const Message& message) const {
  if (!error_sums_are_right(bytes)) throw Dropped{{"malformed_icmp_error"}};
  return read(View(bytes).subspan(message.quotation));
}

// An error from the remote's side is translated the way back, and changes nothing in the session.
Model::Expected Model::error_about_sent(const Bytes& bytes, const Message& message,
                                        NamespaceId sender) {
  const Message about = quoted(bytes, message);
  const auto session =
      find_asked(sender, about.protocol, about.ends.source, about.ends.destination);
  if (session == sessions_.end()) throw Dropped{{"icmp_error_unmatched"}};
  refuse_addresses(message);
  Expected expected{{"translated_inbound"}, bytes, session->tenant};
  // Whom the tenant believes to talk to may be another than answers.
  IpAddress source = message.ends.source.address;
  if (source == session->outside_remote.address) source = session->inside_remote.address;
  rewrite_error(expected.bytes, source, session->internal.address,
                {session->internal, session->inside_remote});
  return expected;
}

// One from the tenant's side, which may come from any of its routers, is seen as from the session's
// external address.
Model::Expected Model::error_about_delivered(const Given& given, const Message& message) {
  const Message about = quoted(given.bytes, message);
  const auto session = std::ranges::find_if(sessions_, [&](const ModelSession& one) {
    return one.tenant == given.tenant && one.protocol == about.protocol &&
           one.internal == about.ends.destination && one.inside_remote == about.ends.source;
  });
  if (session == sessions_.end()) {
    if (policy_of(given.tenant) != nullptr &&
        is_untranslated(given.tenant, message.ends.destination.address)) {
      return {{"untranslated"}, given.bytes, {}};
    }
    const bool leaves = given.direction == Direction::outbound;
    throw Dropped{{leaves ? "icmp_error_unsent" : "icmp_error_unmatched"}};
  }
  refuse_addresses(message);
  Expected expected{{"translated_outbound"}, given.bytes, {}};
  rewrite_error(expected.bytes, session->external.address, session->outside_remote.address,
                {session->outside_remote, session->external});
  if (given.direction == Direction::hairpin) expected.receiver = session->realm;
  return expected;
}

}  // namespace swnat::property
