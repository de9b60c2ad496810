// What packets of established sessions meet: the inline part of shard.h, for the batch's loop.
#pragma once

#include "engine/session/flow.h"
#include "engine/shard.h"
#include "engine/wire/common_packet.h"

namespace swnat {

template <class Family>
inline TcpConnection Shard<Family>::connection_of(SessionRef ref) {
  Record& session = sessions_[ref];
  return {session.state, session.internal_receiver, session.remote_receiver, session.claim,
          sessions_.table().aside(ref)};
}

template <class Family>
inline bool Shard<Family>::translate_established(SessionRef ref, Packet& packet, Tick now) {
  using Words = LegWords<Family>;
  Record& session = sessions_[ref];
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
  if (!is_found || sessions_.table().expired(session, now)) return false;
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
  sessions_.table().count_traffic(ref, is_inbound, Family::length(packet.bytes.data()));
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
  Record& session = sessions_[ref];
  const bool is_outbound = packet.direction != Direction::inbound;
  const SessionState before = session.state;
  TcpEffect effect = TcpEffect::refresh;
  if (parsed.protocol == protocol::tcp) {
    const TcpSegment segment =
        read_tcp_segment(packet.bytes.data() + parsed.transport_offset, parsed.transport_size);
    effect =
        advance(connection_of(ref), segment, is_outbound ? TcpSender::internal : TcpSender::remote);
  } else if (is_asked(before) && is_outbound == session.is_from_outside) {
    session.state = answered_state<Family>(session.protocol);
  }
  if (effect != TcpEffect::none) refresh(session, packet.direction, now);
  if (session.state != before) sessions_.state_changed(ref, before, now);
  sessions_.table().count_traffic(ref, !is_outbound, Family::length(packet.bytes.data()));
  rewrite_packet(is_outbound ? outbound_rewrite(session) : inbound_rewrite(session), parsed,
                 packet);
  if (!is_outbound) {
    packet.namespace_id = session.namespace_id;
  } else if (packet.direction == Direction::hairpin) {
    packet.namespace_id = session.realm();
  }
  if (effect == TcpEffect::closed && sessions_.frees_closed_at_once()) {
    sessions_.end(ref, EndCause::expired, now);
  }
  return is_outbound ? Reason::translated_outbound : Reason::translated_inbound;
}

// Outbound packets keep a session alive, inbound ones too (RFC 4787 REQ-6), but where anybody may
// send to a mapping, anybody could keep it alive (RFC 7857 section 7).
template <class Family>
inline void Shard<Family>::refresh(Record& session, Direction direction, Tick now) {
  const bool by_anybody = sessions_.anybody_may_send() && direction == Direction::inbound &&
                          session.protocol != protocol::tcp;
  if (by_anybody || elapsed(session.last_active, now) <= 0) return;
  session.last_active = now;
}

extern template class Shard<Ipv4>;
extern template class Shard<Ipv6>;

}  // namespace swnat
