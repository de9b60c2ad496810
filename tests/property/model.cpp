#include "tests/property/model.h"

#include <algorithm>

namespace swnat::property {

void Model::judge(const Given& given, const Seen& seen) {
  travel(given.now);
  seen_ = &seen;
  made_.clear();
  Expected expected;
  try {
    expected = expect(given);
  } catch (const Dropped& dropped) {
    expected = {dropped.reasons, {}, {}};
  }
  check_outcome(given, expected);
  seen_ = nullptr;
}

void Model::check_outcome(const Given& given, const Expected& expected) const {
  if (!expected.reasons.contains(seen_->reason)) {
    std::string wanted;
    for (const std::string_view reason : expected.reasons) wanted += " " + std::string(reason);
    throw Disagreement("the engine says " + std::string(seen_->reason) + ", the model" + wanted);
  }
  if (expected.bytes.empty()) {
    const bool is_hairpinned_error =
        given.direction == Direction::hairpin && read(given.bytes).kind == Kind::icmp_error;
    const bool is_same = seen_->bytes == given.bytes && seen_->tenant == given.tenant;
    if (!is_same && !is_hairpinned_error) throw Disagreement("a dropped packet was changed");
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
  const bool leaves =
      seen_->reason == "translated_outbound" || seen_->reason == "translated_hairpin";
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
          is_error ? error_about_sent(given.bytes, message, 0) : receive(given.bytes, message, 0);
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
  if (wrong_way || message.kind == Kind::icmp_other) throw Dropped{{"icmp_unsupported"}};
}

// A packet of the session's was seen. Whether the session is freed for it.
bool Model::follow(ModelSession& session, const Message& message, Side from) {
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
  Expected expected{{"translated_outbound"}, given.bytes, {}};
  rewrite(expected.bytes, 0, {session->external, session->outside_remote});
  if (given.direction == Direction::hairpin) expected.receiver = session->realm;
  if (is_over) end(session, now_, Rest::full);
  return expected;
}

// `realm`: the namespace that the packet comes from, 0 for the outside.
Model::Expected Model::receive(const Bytes& bytes, const Message& message, NamespaceId realm) {
  const Ends& ends = message.ends;
  auto session = std::ranges::find_if(sessions_, [&](const ModelSession& one) {
    return one.protocol == message.protocol && one.external == ends.destination &&
           one.outside_remote == ends.source && one.realm == realm;
  });
  bool is_over = false;
  if (session != sessions_.end()) {
    is_over = follow(*session, message, Side::remote);
  } else {
    if (realm != 0) throw Dropped{{"no_mapping"}};
    session = establish_in(message);
  }
  Expected expected{{"translated_inbound"}, bytes, session->tenant};
  rewrite(expected.bytes, 0, {session->inside_remote, session->internal});
  if (is_over) end(session, now_, Rest::full);
  return expected;
}

// From a namespace, before it is routed. RFC 4787 REQ-9: to an external address it goes out, and in
// again, seen by the receiver as from the external endpoint.
Model::Expected Model::hairpin(const Given& given, const Message& message) {
  const bool is_error = message.kind == Kind::icmp_error;
  const bool turns_back = is_external(message.ends.destination.address);
  if (turns_back && !is_error) {
    try {  // an answer to what was redirected within the namespace
      return receive(given.bytes, message, given.tenant);
    } catch (const Dropped&) {
      if (!policy_.hairpin) throw Dropped{{"hairpin_off"}};
    }
  }
  Expected sent;
  if (is_error) {
    try {
      return error_about_sent(given.bytes, message, given.tenant);
    } catch (const Dropped& dropped) {
      if (!dropped.reasons.contains("icmp_error_unmatched")) throw;
    }
    sent = error_about_delivered(given, message);
  } else {
    sent = send(given, message);
  }
  if (sent.reasons.contains("untranslated")) return sent;
  const Message second = read(sent.bytes);
  if (!is_external(second.ends.destination.address)) return sent;
  if (!policy_.hairpin) throw Dropped{{"hairpin_off"}};
  refuse_unknown(second, Direction::inbound);
  Expected expected =
      is_error ? error_about_sent(sent.bytes, second, 0) : receive(sent.bytes, second, 0);
  expected.reasons = {"translated_hairpin"};
  return expected;
}

// RFC 5508: the packet that an error quotes says which session it is about.
Message Model::quoted(const Bytes& bytes, const Message& message) const {
  refuse_addresses(message);
  if (!error_sums_are_right(bytes)) throw Dropped{{"malformed_icmp_error"}};
  return read(View(bytes).subspan(message.quotation));
}

// An error from the remote's side is translated the way back, and changes nothing in the session.
Model::Expected Model::error_about_sent(const Bytes& bytes, const Message& message,
                                        NamespaceId realm) {
  const Message about = quoted(bytes, message);
  const auto session = std::ranges::find_if(sessions_, [&](const ModelSession& one) {
    return one.protocol == about.protocol && one.external == about.ends.source &&
           one.outside_remote == about.ends.destination && one.realm == realm;
  });
  if (session == sessions_.end()) throw Dropped{{"icmp_error_unmatched"}};
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
    throw Dropped{{"icmp_error_unmatched"}};
  }
  Expected expected{{"translated_outbound"}, given.bytes, {}};
  rewrite_error(expected.bytes, session->external.address, session->outside_remote.address,
                {session->outside_remote, session->external});
  if (given.direction == Direction::hairpin) expected.receiver = session->realm;
  return expected;
}

}  // namespace swnat::property
