#include "engine/batch.h"

#include <bit>

#include "engine/established.h"
#include "engine/wire/common_packet.h"

namespace swnat {

template <class Family>
inline void Batch<Family>::begin_lookup(Packet& packet, int place, Lookup& lookup) const {
  const bool is_inbound = packet.direction == Direction::inbound;
  const Leg<Family> leg = LegWords<Family>::read(packet, is_inbound).leg();
  const std::uint8_t protocol = common_protocol<Family>(packet);
  const FlowKey<Family> key{leg, is_inbound ? 0 : packet.namespace_id,
                            is_inbound ? KeyKind::outside_flow : KeyKind::inside_flow, protocol};
  lookup.packet = &packet;
  lookup.hash = key.hash(secret_);
  lookup.shard = shards_.number_of(leg, protocol, is_inbound);
  lookup.place = place;
}

template <class Family>
Places Batch<Family>::translate(std::span<Packet> packets, Places& unseen, Places& of_others,
                                Tick now) {
  Lookup group[batch_max];    // of the first one's shard
  Lookup waiting[batch_max];  // of shards whose turn comes later
  std::size_t group_size = 0;
  std::size_t waiting_count = 0;
  Places uncommon = 0;
  Places places = unseen;
  Places foreign = 0;
  for (; places != 0 && uncommon == 0; places &= places - 1) {
    const int place = std::countr_zero(places);
    Packet& packet = packets[static_cast<std::size_t>(place)];
    if (packet.direction != Direction::hairpin && is_common<Family>(packet) && !shards_.empty()) {
      Lookup& lookup = group[group_size];
      begin_lookup(packet, place, lookup);
      shards_[lookup.shard].flows().prefetch(lookup.hash);
      if (lookup.shard == group[0].shard) {
        ++group_size;
      } else {
        waiting[waiting_count++] = lookup;
      }
    } else if (ip_version(packet.bytes) == Family::version) {
      uncommon = Places{1} << place;
    } else {
      foreign |= Places{1} << place;
    }
  }
  unseen = places;
  of_others |= foreign;
  Places rest = 0;
  while (group_size != 0) {
    // What makes sessions keeps its order in the batch: the others are first looked at later.
    const int first_waiting = waiting_count == 0 ? int{batch_max} : waiting[0].place;
    const int end = std::min(first_waiting, std::countr_zero(rest));
    rest |= translate_group({group, group_size}, end, now);
    group_size = take_group({waiting, waiting_count}, group);
    waiting_count -= group_size;
  }
  return rest | uncommon;
}

// Copies those of the first one's shard to `group`, and closes up the others. Returns how many.
template <class Family>
std::size_t Batch<Family>::take_group(std::span<Lookup> waiting, Lookup* group) {
  std::size_t taken = 0;
  std::size_t kept = 0;
  for (const Lookup& lookup : waiting) {
    if (taken == 0 || lookup.shard == group[0].shard) {
      group[taken++] = lookup;
    } else {
      waiting[kept++] = lookup;
    }
  }
  return taken;
}

// All of one shard. Returns the places of those that are left, as they were.
template <class Family>
Places Batch<Family>::translate_group(std::span<Lookup> group, int end, Tick now) {
  Shard<Family>& own = shards_[group[0].shard];
  const SoonLock lock(own.mutex);
  const std::span<Lookup> missed = translate_established(own, group, now);
  if (missed.empty()) return 0;
  Places left = 0;
  for (const Lookup& lookup : translate_missed(own, missed, end, now)) {
    left |= Places{1} << lookup.place;
  }
  return left;
}

// In one piece, as all common packets are. Forced inline into the loop of established packets,
// where a call would be a tenth of their instructions.
template <class Family>
inline void Batch<Family>::finish(Shard<Family>& own, Packet& packet, Reason reason) {
  finish_whole(datagrams_, packet, reason);
  own.count(reason);
}

// All of one shard. Those that have no established session come to the front, and are returned.
template <class Family>
std::span<Lookup> Batch<Family>::translate_established(Shard<Family>& own,
                                                       std::span<Lookup> lookups, Tick now) {
  for (Lookup& lookup : lookups) lookup.candidate = own.candidate(lookup.hash);
  std::size_t missed = 0;
  for (const Lookup& lookup : lookups) {
    Packet& packet = *lookup.packet;
    if (lookup.candidate == no_session ||
        !own.translate_established(lookup.candidate, packet, now)) {
      lookups[missed++] = lookup;
      continue;
    }
    finish(own, packet, packet.reason);
  }
  return lookups.first(missed);
}

// Of the same shard: mostly the first packets of new sessions, and first answers. They are
// translated in their order, and returned from the first on that is not before `end`, a place in
// the batch, or that another shard is needed for: for whose lock this one's must not be held.
template <class Family>
std::span<Lookup> Batch<Family>::translate_missed(Shard<Family>& own, std::span<Lookup> lookups,
                                                  int end, Tick now) {
  // Not initialized: what is used is parsed before.
  union AllParsed {
    AllParsed() {}
    Parsed<Family> of[batch_max];
  } all;
  for (std::size_t i = 0; i < lookups.size(); ++i) {
    parse(lookups[i].packet->bytes, lookups[i].packet->direction, all.of[i]);
  }
  if (lookups.size() > 1) own.prefetch_missed(lookups);
  std::size_t i = 0;
  for (; i < lookups.size() && lookups[i].place < end; ++i) {
    Packet& packet = *lookups[i].packet;
    const Parsed<Family>& parsed = all.of[i];
    const bool is_inbound = packet.direction == Direction::inbound;
    // One before it may have borrowed the port.
    if (is_inbound &&
        shards_.number_of(parsed.leg_from_outside(), parsed.protocol, true) != lookups[i].shard) {
      break;
    }
    const std::uint64_t flow = lookups[i].hash;
    const Reason reason = is_inbound ? own.inbound(parsed, packet, flow, now)
                                     : own.outbound(parsed, packet, flow, now);
    const bool may_make_room = reason == Reason::session_limit && !is_inbound &&
                               own.sessions().room_wanted(packet.namespace_id).has_value();
    if (may_make_room) break;
    if (!is_inbound) own.refused(reason, parsed, packet, now);
    finish(own, packet, reason);
  }
  return lookups.subspan(i);
}

template class Batch<Ipv4>;
template class Batch<Ipv6>;

}  // namespace swnat
