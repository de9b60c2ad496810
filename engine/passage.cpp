#include "engine/passage.h"

#include <optional>

namespace swnat {
namespace {

// Another thread may take the room that was made, or use the session that was to be ended; after
// that many rounds the packet is dropped.
constexpr int eviction_rounds = 32;

}  // namespace

template <class Family>
Reason Passage<Family>::outbound(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  if (parsed.is_icmp_error) return icmp_error(parsed, packet, now);
  return pass_out(parsed, packet, nullptr, now);
}

template <class Family>
Reason Passage<Family>::keep(const Parsed<Family>& parsed, Packet& packet, End& external,
                             Tick now) {
  return pass_out(parsed, packet, &external, now);
}

// `kept`: of a packet that is not sent, where the external endpoint is to be written.
template <class Family>
Reason Passage<Family>::pass_out(const Parsed<Family>& parsed, Packet& packet, End* kept,
                                 Tick now) {
  Shard<Family>& own = shards_.of_inside(parsed);
  for (int rounds_left = eviction_rounds;; --rounds_left) {
    std::optional<RoomWanted> room_wanted;
    {
      const SoonLock lock(own.mutex);
      const Reason reason = kept == nullptr ? own.outbound(parsed, packet, now)
                                            : own.keep(parsed, packet, *kept, now);
      if (reason == Reason::session_limit && rounds_left > 0) {
        room_wanted = own.sessions().room_wanted(packet.namespace_id);
      }
      if (!room_wanted) {
        own.refused(reason, parsed, packet, now);
        return reason;
      }
    }
    if (eviction_.make_room(*room_wanted, now) != Eviction::Result::in_vain) continue;
    const Reason reason = room_wanted->legacy->otherwise;
    const SoonLock lock(own.mutex);
    own.refused(reason, parsed, packet, now);
    return reason;
  }
}

template <class Family>
Reason Passage<Family>::inbound(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  if (parsed.is_icmp_error) return icmp_error(parsed, packet, now);
  Shard<Family>& own = shards_.of_outside(parsed);
  const SoonLock lock(own.mutex);
  return own.inbound(parsed, packet, now);
}

// What an error quotes was sent from inside if the error comes from outside, and the other way
// round. The local port of the session is the source of what the NAT sent, and the destination of
// what it delivered.
template <class Family>
Reason Passage<Family>::icmp_error(const Parsed<Family>& parsed, Packet& error, Tick now) {
  Quoted<Family> quoted;
  if (const auto fault = parse_quoted(error, parsed, quoted)) {
    return error.direction == Direction::outbound ? *fault : not_on_the_way_out(*fault);
  }
  if (error.direction == Direction::inbound) {
    return error_about_sent(0, parsed, quoted, error, now);
  }
  if (error.direction == Direction::hairpin && error.namespace_id != 0) {
    // About a packet that was redirected.
    const Reason reason = error_about_sent(error.namespace_id, parsed, quoted, error, now);
    if (reason != Reason::icmp_error_unmatched) return reason;
  }
  Shard<Family>& own = shards_[shard_of_port(quoted.packet.destination_port, shards_.count())];
  const SoonLock lock(own.mutex);
  return own.error_about_delivered(parsed, quoted, error, now);
}

template <class Family>
Reason Passage<Family>::error_about_sent(NamespaceId sender, const Parsed<Family>& parsed,
                                         const Quoted<Family>& quoted, Packet& error, Tick now) {
  const Parsed<Family>& about = quoted.packet;
  Shard<Family>& own = shards_[shards_.number_of(about.leg_from_inside(), about.protocol, true)];
  const SoonLock lock(own.mutex);
  return own.error_about_sent(sender, parsed, quoted, error, now);
}

template class Passage<Ipv4>;
template class Passage<Ipv6>;

}  // namespace swnat
