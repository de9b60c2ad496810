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
    if (given.direction != Direction::hairpin && seen_->bytes != given.bytes) {
      throw Disagreement("a dropped packet was changed");
    }
    return;
  }
  if (with_one_zero(seen_->bytes, given.checksum) !=
      with_one_zero(expected.bytes, given.checksum)) {
    const Ends is = read(seen_->bytes).ends;
    const Ends wanted = read(expected.bytes).ends;
    throw Disagreement("the packet is " + text(is.source) + " > " + text(is.destination) +
                       ", the model's is " + text(wanted.source) + " > " +
                       text(wanted.destination) + (is == wanted ? ": other bytes differ" : ""));
  }
  if (expected.receiver && *expected.receiver != seen_->tenant) {
    throw Disagreement("it reaches namespace " + std::to_string(seen_->tenant) + ", the model's " +
                       std::to_string(*expected.receiver));
  }
}

Model::Expected Model::expect(const Given& given) {
  const Message message = read(given.bytes);
  refuse_unknown(message, given.direction);
  if (given.direction == Direction::hairpin && !policy_.hairpin) throw Dropped{{"hairpin_off"}};
  Expected expected;
  switch (given.direction) {
    case Direction::outbound:
      expected = send(given, message);
      break;
    case Direction::inbound:
      expected = message.kind == Kind::icmp_error ? error(given, message)
                                                  : receive(given.bytes, message, false);
      break;
    case Direction::hairpin:
      expected = hairpin(given, message);
      break;
  }
  const bool translated = !expected.reasons.contains("untranslated");
  const bool has_sum = message.kind != Kind::other && message.kind != Kind::icmp_error;
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
  switch (message.kind) {
    case Kind::echo_request:
      if (inbound) throw Dropped{{"icmp_unsupported"}};
      return;
    case Kind::echo_reply:
      if (!inbound) throw Dropped{{"icmp_unsupported"}};
      return;
    case Kind::icmp_other:
      throw Dropped{{"icmp_unsupported"}};
    case Kind::other:
      if (!engine_supports.other_protocols) throw Dropped{{"unsupported_protocol"}};
      return;
    default:
      return;
  }
}

// A packet of the session's was seen. Whether the session is over with it.
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
  if (message.kind == Kind::icmp_error) return error(given, message);
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
    if (is_dropped(given.tenant, message)) throw Dropped{{"dropped_by_rule"}};
    if (is_untranslated(given.tenant, ends.destination.address)) {
      return {{"untranslated"}, given.bytes, {}};
    }
    establish_out(given.tenant, message);
    session = std::prev(sessions_.end());
  }
  Expected expected{{"translated_outbound"}, given.bytes, {}};
  rewrite(expected.bytes, 0, {session->external, session->outside_remote});
  if (session->redirected()) {
    const auto& inside = policy_of(given.tenant)->inside;
    const bool stays = std::ranges::any_of(inside, [&](const IpNetwork& network) {
      return contains(network, session->outside_remote.address);
    });
    expected.receiver = stays ? given.tenant : 0;
  }
  if (is_over) end(session, now_, now_);
  return expected;
}

// `from_within`: what a redirect inside the namespace is answered with.
Model::Expected Model::receive(const Bytes& bytes, const Message& message, bool from_within) {
  const Ends& ends = message.ends;
  auto session = std::ranges::find_if(sessions_, [&](const ModelSession& one) {
    return one.protocol == message.protocol && one.external == ends.destination &&
           one.outside_remote == ends.source;
  });
  bool is_over = false;
  if (session != sessions_.end()) {
    is_over = follow(*session, message, Side::remote);
  } else {
    establish_in(message);
    session = std::prev(sessions_.end());
  }
  Expected expected{{"translated_inbound"}, bytes, session->tenant};
  if (from_within) expected.reasons.insert("translated_hairpin");
  rewrite(expected.bytes, 0, {session->inside_remote, session->internal});
  if (is_over) end(session, now_, now_);
  return expected;
}

// RFC 4787 REQ-9: out, and in again, seen by the receiver as from the external endpoint.
Model::Expected Model::hairpin(const Given& given, const Message& message) {
  const Ends& ends = message.ends;
  const bool answers_redirect = std::ranges::any_of(sessions_, [&](const ModelSession& one) {
    return one.tenant == given.tenant && one.redirected() && one.protocol == message.protocol &&
           one.external == ends.destination && one.outside_remote == ends.source;
  });
  if (answers_redirect) return receive(given.bytes, message, true);
  const Expected sent = send(given, message);
  Message second = read(sent.bytes);
  if (!is_external(second.ends.destination.address)) return sent;
  if (second.kind == Kind::icmp_error) {
    Given inbound{Direction::inbound, 0, given.checksum, sent.bytes, given.now};
    Expected expected = error(inbound, second);
    expected.reasons = {"translated_hairpin"};
    return expected;
  }
  refuse_unknown(second, Direction::inbound);
  Expected expected = receive(sent.bytes, second, false);
  expected.reasons = {"translated_hairpin"};
  return expected;
}

// RFC 5508: the packet that an error quotes says which session it is about. It is translated the
// way back, and changes nothing in the session.
Model::Expected Model::error(const Given& given, const Message& message) {
  if (!error_sums_are_right(given.bytes)) throw Dropped{{"malformed_icmp_error"}};
  const Message quoted = read(View(given.bytes).subspan(message.quotation));
  const bool inbound = given.direction == Direction::inbound;
  const Ends about = inbound ? quoted.ends : quoted.ends.back();
  const auto session = std::ranges::find_if(sessions_, [&](const ModelSession& one) {
    if (one.protocol != quoted.protocol) return false;
    if (inbound) return one.external == about.source && one.outside_remote == about.destination;
    return one.tenant == given.tenant && one.internal == about.source &&
           one.inside_remote == about.destination;
  });
  if (session == sessions_.end()) throw Dropped{{"icmp_error_unmatched"}};
  Expected expected{{inbound ? "translated_inbound" : "translated_outbound"}, given.bytes, {}};
  if (inbound) {
    expected.receiver = session->tenant;
    rewrite_error(expected.bytes, message.ends.source.address, session->internal.address,
                  {session->internal, session->inside_remote});
  } else {
    rewrite_error(expected.bytes, session->external.address, session->outside_remote.address,
                  {session->outside_remote, session->external});
  }
  return expected;
}

}  // namespace swnat::property
