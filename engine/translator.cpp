// Theory of operation
//
// A packet's life: parse → classify → find its session, or establish one → update its state →
// rewrite → verdict. For a batch the first steps are done for all packets before the next, so that
// the cache lines of the index and then of the sessions arrive side by side; so do those that new
// sessions need. Packets that are not common (common_packet.h), and those that need room made for
// them, take the slow way, alone. No thread ever holds two shards' locks: a
// hairpin is two steps, and so is making room in a namespace whose first session to go another
// shard has.
//
// Fragments (datagrams.h) take the slow way.
#include "engine/translator.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>
#include <thread>
#include <tuple>
#include <utility>

#include "engine/base/lock.h"
#include "engine/session/session_memory.h"

namespace swnat {
namespace {

// Another thread may take the room that was made, or free the session that was to be ended; after
// that many rounds the packet is dropped.
constexpr int eviction_rounds = 8;

// What a translation changes in a packet that is no ICMP error, as it was before.
template <class Family>
class Original {
 public:
  Original(const Parsed<Family>& parsed, const Packet& packet)
      : namespace_id_(packet.namespace_id),
        transport_(parsed.transport),
        transport_size_(std::min<std::size_t>(parsed.transport_size, tcp_header_min)) {
    std::memcpy(ip_.data(), packet.bytes.data(), ip_.size());
    std::memcpy(header_.data(), packet.bytes.data() + transport_, transport_size_);
  }

  void restore(Packet& packet) const {
    packet.namespace_id = namespace_id_;
    std::memcpy(packet.bytes.data(), ip_.data(), ip_.size());
    std::memcpy(packet.bytes.data() + transport_, header_.data(), transport_size_);
  }

 private:
  NamespaceId namespace_id_;
  std::size_t transport_;
  std::size_t transport_size_;
  std::array<std::uint8_t, Family::version == 4 ? ipv4_header_min : ipv6_header_size> ip_;
  std::array<std::uint8_t, tcp_header_min> header_;
};

}  // namespace

template <class Family>
Translator<Family>::Translator(const EngineOptions& options, std::uint32_t capacity,
                               std::span<std::byte> memory,
                               std::shared_ptr<const Snapshot> snapshot, NamespaceUses& uses,
                               Identifications& identifications, SharedEventOutlet& block_events,
                               std::function<bool(RoomWanted, Tick now)> make_room)
    : secret_(options.secret),
      shard_count_(options.shards),
      externals_(snapshot->policy(), options.shards, keys_from(*pairing_key_of(memory)),
                 block_events),
      snapshot_(std::move(snapshot)),
      hairpin_(snapshot_->policy().hairpin),
      datagrams_(externals_.addresses().empty() ? 0 : options.shards, options.secret,
                 identifications),
      make_room_(std::move(make_room)) {
  const Policy& policy = snapshot_->policy();
  if (externals_.addresses().empty()) return;
  for (std::uint32_t number = 0; number < options.shards; ++number) {
    const auto part = session_memory_part<Family>(memory, options.shards, capacity, policy, number);
    const ShardOptions<Family> own{number, options.shards, options.secret, part};
    shards_.push_back(std::make_unique<Shard<Family>>(own, snapshot_, externals_, uses));
  }
  change_forwards({}, policy, 0);
}

template <class Family>
void Translator<Family>::populate() {
  externals_.populate();
  for (const auto& one : shards_) {
    const Lock lock(one->mutex);
    one->populate();
  }
  datagrams_.populate();
}

template <class Family>
void Translator<Family>::adopt(Tick now, bool is_recent) {
  for (const auto& one : shards_) {
    const Lock lock(one->mutex);
    one->adopt(now, is_recent);
  }
  for (PortBlocks& blocks : externals_.blocks()) {
    blocks.join_adopted([&](NamespaceId id) { return snapshot_->find(id)->blocks().size; });
  }
}

// `leg` is as the packet shows it from the side that it comes from.
template <class Family>
inline std::uint32_t Translator<Family>::shard_of(const Leg<Family>& leg, std::uint8_t protocol,
                                                  bool is_inbound) const {
  return is_inbound ? externals_.shard_of(leg.local, protocol, leg.local_port)
                    : shard_of_port(leg.local_port, shard_count());
}

template <class Family>
void Translator<Family>::finish(Packet& packet, Reason reason) {
  packet.reason = reason;
  other_counters_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
}

// What the NAT knows no translation for still goes to where none is wanted.
template <class Family>
Reason Translator<Family>::untranslatable(Reason fault, const Parsed<Family>& parsed,
                                          Packet& packet, Tick now) {
  if (fault != Reason::unsupported_protocol && fault != Reason::icmp_unsupported) return fault;
  const bool is_inbound = packet.direction == Direction::inbound;
  const bool is_outbound = packet.direction == Direction::outbound;
  Reason reason = is_outbound ? fault : not_on_the_way_out(fault);
  if (!is_inbound) {
    Shard<Family>& any = shard(0);
    const Lock lock(any.mutex);
    reason = any.rule_for(packet.namespace_id, parsed).value_or(reason);
  }
  if (!parsed.piece.is_first() || (!is_inbound && packet.namespace_id == 0)) return reason;
  datagrams_.remember(datagrams_.name(parsed, packet), parsed, packet, reason, now);
  return reason;
}

// A packet that is not common may belong to the session of one before or behind it, so those before
// it are done with first.
template <class Family>
Places Translator<Family>::translate(std::span<Packet> packets, Places places, Tick now) {
  Places of_others = 0;
  while (places != 0) {
    Lookup group[batch_max];    // of the first one's shard
    Lookup waiting[batch_max];  // of shards whose turn comes later
    std::size_t group_size = 0;
    std::size_t waiting_count = 0;
    Packet* uncommon = nullptr;
    for (; places != 0 && uncommon == nullptr; places &= places - 1) {
      const int place = std::countr_zero(places);
      Packet& packet = packets[static_cast<std::size_t>(place)];
      if (packet.direction != Direction::hairpin && is_common<Family>(packet) && !shards_.empty()) {
        Lookup& lookup = group[group_size];
        begin_lookup(packet, place, lookup);
        shard(lookup.shard).flows().prefetch(lookup.hash);
        if (lookup.shard == group[0].shard) {
          ++group_size;
        } else {
          waiting[waiting_count++] = lookup;
        }
      } else if (ip_version(packet.bytes) == Family::version) {
        uncommon = &packet;
      } else {
        of_others |= Places{1} << place;
      }
    }
    Places rest = 0;
    while (group_size != 0) {
      // What makes sessions keeps its order in the batch: the others are first looked at later.
      const int first_waiting = waiting_count == 0 ? int{batch_max} : waiting[0].place;
      const int end = std::min(first_waiting, std::countr_zero(rest));
      rest |= translate_group({group, group_size}, end, now);
      group_size = take_group({waiting, waiting_count}, group);
      waiting_count -= group_size;
    }
    for_each(rest, [&](std::size_t i) { translate_alone(packets[i], now); });
    if (uncommon != nullptr) translate_alone(*uncommon, now);
  }
  return of_others;
}

template <class Family>
inline void Translator<Family>::begin_lookup(Packet& packet, int place, Lookup& lookup) const {
  const bool is_inbound = packet.direction == Direction::inbound;
  const Leg<Family> leg = LegWords<Family>::read(packet, is_inbound).leg();
  const std::uint8_t protocol = common_protocol<Family>(packet);
  const FlowKey<Family> key{leg, is_inbound ? 0 : packet.namespace_id,
                            is_inbound ? KeyKind::outside_flow : KeyKind::inside_flow, protocol};
  lookup.packet = &packet;
  lookup.hash = key.hash(secret_);
  lookup.shard = shard_of(leg, protocol, is_inbound);
  lookup.place = place;
}

// Copies those of the first one's shard to `group`, and closes up the others. Returns how many.
template <class Family>
std::size_t Translator<Family>::take_group(std::span<Lookup> waiting, Lookup* group) {
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
Places Translator<Family>::translate_group(std::span<Lookup> group, int end, Tick now) {
  Shard<Family>& own = shard(group[0].shard);
  const SoonLock lock(own.mutex);
  const std::span<Lookup> missed = translate_established(own, group, now);
  if (missed.empty()) return 0;
  Places left = 0;
  for (const Lookup& lookup : translate_missed(own, missed, end, now)) {
    left |= Places{1} << lookup.place;
  }
  return left;
}

// All of one shard. Those that have no established session come to the front, and are returned.
template <class Family>
std::span<Lookup> Translator<Family>::translate_established(Shard<Family>& own,
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
    if (packet.direction == Direction::outbound) datagrams_.renumber(packet);
    packet.datagram = 0;
    own.count(packet.reason);
  }
  return lookups.first(missed);
}

// Of the same shard: mostly the first packets of new sessions, and first answers. They are
// translated in their order, and returned from the first on that is not before `end`, a place in
// the batch, or that another shard is needed for: for whose lock this one's must not be held.
template <class Family>
std::span<Lookup> Translator<Family>::translate_missed(Shard<Family>& own,
                                                       std::span<Lookup> lookups, int end,
                                                       Tick now) {
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
        shard_of(parsed.leg_from_outside(), parsed.protocol, true) != lookups[i].shard) {
      break;
    }
    const std::uint64_t flow = lookups[i].hash;
    const Reason reason = is_inbound ? own.inbound(parsed, packet, flow, now)
                                     : own.outbound(parsed, packet, flow, now);
    const bool may_make_room = reason == Reason::session_limit && !is_inbound &&
                               own.room_wanted(packet.namespace_id).has_value();
    if (may_make_room) break;
    if (!is_inbound) own.tell_refused(reason, parsed, packet, now);
    if (reason == Reason::translated_outbound) datagrams_.renumber(packet);
    packet.datagram = 0;
    packet.reason = reason;
    own.count(reason);
  }
  return lookups.subspan(i);
}

// The slow way.
template <class Family>
void Translator<Family>::translate_alone(Packet& packet, Tick now) {
  packet.datagram = 0;
  if (shards_.empty()) return finish(packet, Reason::no_external_address);
  Parsed<Family> parsed;
  const auto fault = parse(packet.bytes, packet.direction, parsed);
  finish(packet,
         fault ? untranslatable(*fault, parsed, packet, now) : translate_one(parsed, packet, now));
}

template <class Family>
Reason Translator<Family>::translate_one(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  if (parsed.piece.is_fragment() && packet.direction != Direction::inbound &&
      packet.namespace_id == 0) {
    return packet.direction == Direction::outbound ? Reason::unknown_namespace
                                                   : Reason::foreign_fwmark;
  }
  if (parsed.piece.is_later()) return datagrams_.follow(parsed, packet, now);
  if (parsed.piece.is_first()) return first_fragment(parsed, packet, now);
  const Direction direction = packet.direction;
  const Reason reason = translate_whole(parsed, packet, now);
  const bool left_inside = direction != Direction::inbound && reason != Reason::translated_inbound;
  if (left_inside && reason != Reason::untranslated && verdict_of(reason) == Verdict::accept) {
    datagrams_.renumber(packet);
  }
  return reason;
}

template <class Family>
Reason Translator<Family>::first_fragment(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  const DatagramKey<Family> key = datagrams_.name(parsed, packet);
  // Its sum cannot be finished here: that covers all of the datagram.
  const Reason reason = packet.checksum == ChecksumState::complete
                            ? translate_whole(parsed, packet, now)
                            : Reason::fragment_unfinished;
  datagrams_.remember(key, parsed, packet, reason, now);
  return reason;
}

template <class Family>
Reason Translator<Family>::translate_whole(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  switch (packet.direction) {
    case Direction::outbound:
      return outbound(parsed, packet, now);
    case Direction::inbound:
      return inbound(parsed, packet, now);
    case Direction::hairpin:
      return hairpin(parsed, packet, now);
  }
  return Reason::not_ip;
}

template <class Family>
Reason Translator<Family>::outbound(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  if (parsed.is_icmp_error) return icmp_error(parsed, packet, now);
  Shard<Family>& own = shard(shard_of(parsed.leg_from_inside(), parsed.protocol, false));
  for (int rounds_left = eviction_rounds;; --rounds_left) {
    std::optional<RoomWanted> room_wanted;
    {
      const SoonLock lock(own.mutex);
      const Reason reason = own.outbound(parsed, packet, now);
      if (reason == Reason::session_limit && rounds_left > 0) {
        room_wanted = own.room_wanted(packet.namespace_id);
      }
      if (!room_wanted) {
        own.tell_refused(reason, parsed, packet, now);
        return reason;
      }
    }
    if (make_room_(*room_wanted, now) || !room_wanted->port) continue;
    const SoonLock lock(own.mutex);
    own.tell_refused(Reason::no_free_port, parsed, packet, now);
    return Reason::no_free_port;
  }
}

template <class Family>
Reason Translator<Family>::inbound(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  if (parsed.is_icmp_error) return icmp_error(parsed, packet, now);
  Shard<Family>& own = shard(shard_of(parsed.leg_from_outside(), parsed.protocol, true));
  const SoonLock lock(own.mutex);
  return own.inbound(parsed, packet, now);
}

// What an error quotes was sent from inside if the error comes from outside, and the other way
// round. The local port of the session is the source of what the NAT sent, and the destination of
// what it delivered.
template <class Family>
Reason Translator<Family>::icmp_error(const Parsed<Family>& parsed, Packet& error, Tick now) {
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
  Shard<Family>& own = shard(shard_of_port(quoted.packet.destination_port, shard_count()));
  const SoonLock lock(own.mutex);
  return own.error_about_delivered(parsed, quoted, error, now);
}

template <class Family>
Reason Translator<Family>::error_about_sent(NamespaceId sender, const Parsed<Family>& parsed,
                                            const Quoted<Family>& quoted, Packet& error, Tick now) {
  const Parsed<Family>& about = quoted.packet;
  Shard<Family>& own = shard(externals_.shard_of(about.source, about.protocol, about.source_port));
  const SoonLock lock(own.mutex);
  return own.error_about_sent(sender, parsed, quoted, error, now);
}

// --- hairpins

template <class Family>
Reason Translator<Family>::hairpin(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  if (parsed.is_icmp_error) return hairpin_error(parsed, packet, now);
  const Reason reason = externals_.contains(parsed.destination)
                            ? hairpin_to_external(parsed, packet, now)
                            : send_hairpin(parsed, packet, true, now);
  return reason == Reason::unknown_namespace ? Reason::foreign_fwmark : reason;
}

// What is sent to an external address may be for a service of the gateway itself. So nothing is
// established before it is known that the external endpoint is a namespace's. If it is, but does
// not permit the sender, the sender's session stays nevertheless: it is what permits the other
// one's packets, when two namespaces' hosts open a way to each other at the same time.
template <class Family>
Reason Translator<Family>::hairpin_to_external(const Parsed<Family>& parsed, Packet& packet,
                                               Tick now) {
  using Outlook = typename Shard<Family>::Outlook;
  if (packet.namespace_id != 0) {
    Shard<Family>& own = shard(shard_of(parsed.leg_from_outside(), parsed.protocol, true));
    const SoonLock lock(own.mutex);
    Packet received = packet;
    received.direction = Direction::inbound;
    const Reason reason = own.answer(parsed, received, now);
    if (reason != Reason::no_mapping) {
      packet.namespace_id = received.namespace_id;
      return reason;
    }
  }
  Outlook outlook;
  {
    Shard<Family>& own = shard(shard_of(parsed.leg_from_inside(), parsed.protocol, false));
    const SoonLock lock(own.mutex);
    outlook = own.outlook(parsed, packet, now);
  }
  if (outlook == Outlook::asks_for_owner) {
    // What comes in by ICMP are answers.
    if (parsed.protocol == Family::icmp_protocol) return Reason::foreign_icmp;
    if (!has_owner(parsed, now)) return Reason::no_mapping;
  }
  const bool turns_back = outlook == Outlook::asks_for_owner || outlook == Outlook::has_session;
  if (turns_back && !hairpin_.load(std::memory_order_relaxed)) return Reason::hairpin_off;
  const Reason reason = send_hairpin(parsed, packet, !turns_back, now);
  return turns_back ? not_on_the_way_out(reason) : reason;
}

template <class Family>
bool Translator<Family>::has_owner(const Parsed<Family>& parsed, Tick now) {
  if (protocol::is_portless(parsed.protocol)) return false;
  Shard<Family>& own = shard(shard_of(parsed.leg_from_outside(), parsed.protocol, true));
  const SoonLock lock(own.mutex);
  return own.has_owner(parsed, now);
}

// RFC 4787 REQ-9: the receiver sees the sender's external endpoint. `is_for_gateway`: what no
// namespace takes is for the gateway itself, which has asked for it or which it was redirected to.
template <class Family>
Reason Translator<Family>::send_hairpin(const Parsed<Family>& parsed, Packet& packet,
                                        bool is_for_gateway, Tick now) {
  const Original<Family> original(parsed, packet);
  Reason reason = outbound(parsed, packet, now);
  if (reason == Reason::translated_outbound) {
    reason = receive_hairpin(packet, now);
    if (is_for_gateway && verdict_of(reason) == Verdict::pass) reason = Reason::translated_outbound;
  }
  // So that whoever sent it can be told of it, or that it can go on.
  if (verdict_of(reason) != Verdict::accept) original.restore(packet);
  return reason;
}

// The inbound half, if the outbound one has led to an external address.
template <class Family>
Reason Translator<Family>::receive_hairpin(Packet& packet, Tick now) {
  Packet received = packet;
  received.direction = Direction::inbound;
  // The first half wrote the full sum.
  if (packet.checksum == ChecksumState::partial) received.checksum = ChecksumState::complete;
  Parsed<Family> translated;
  // What a namespace sends beside echo requests never comes in.
  if (parse(received.bytes, Direction::inbound, translated) ||
      !externals_.contains(translated.destination)) {
    return Reason::translated_outbound;
  }
  if (!translated.is_icmp_error && !hairpin_.load(std::memory_order_relaxed)) {
    return has_owner(translated, now) ? Reason::hairpin_off : Reason::no_mapping;
  }
  const Reason reason = inbound(translated, received, now);
  if (verdict_of(reason) != Verdict::accept) return reason;
  packet.namespace_id = received.namespace_id;
  return Reason::translated_hairpin;
}

// An error about what a session delivered, which came from another namespace's, or from the
// gateway.
template <class Family>
Reason Translator<Family>::hairpin_error(const Parsed<Family>& parsed, Packet& error, Tick now) {
  const Reason reason = icmp_error(parsed, error, now);
  if (reason != Reason::translated_outbound) return reason;
  const Reason received = receive_hairpin(error, now);
  return verdict_of(received) == Verdict::accept ? received : reason;
}

// --- the policy, and what is due

template <class Family>
void Translator<Family>::set_snapshot(std::shared_ptr<const Snapshot> snapshot, Tick now) {
  if (shards_.empty()) return;
  hairpin_.store(snapshot->policy().hairpin, std::memory_order_relaxed);
  for (const auto& one : shards_) {
    const Lock lock(one->mutex);
    one->set_snapshot(snapshot);
  }
  end_unfit(now);
  change_forwards(snapshot_->policy(), snapshot->policy(), now);
  snapshot_ = std::move(snapshot);
}

template <class Family>
void Translator<Family>::end_unfit(Tick now) {
  for (const auto& one : shards_) {
    std::uint32_t position = 0;
    bool goes_on = true;
    while (goes_on) {
      const Lock lock(one->mutex);
      goes_on = one->end_unfit(position, now);
    }
  }
}

// A forward's port belongs to the shard of its internal endpoint, so that both legs of its sessions
// meet there. By now no session has a port that the new rules do not allow it.
template <class Family>
void Translator<Family>::change_forwards(const Policy& before, const Policy& after, Tick now) {
  using Port = std::tuple<PortSpace*, PortBlocks*, std::size_t, std::uint32_t, std::uint16_t>;
  const auto ports_of = [&](const Policy& policy) {
    std::set<Port> ports;
    for (const ForwardRule& rule : policy.forwards) {
      const auto* address = std::get_if<typename Family::Address>(&rule.external.address);
      if (address == nullptr) continue;
      ports.emplace(&externals_.ports(*address, rule.protocol),
                    externals_.has_blocks() ? &externals_.blocks(*address) : nullptr,
                    Externals<Family>::place_of(rule.protocol),
                    shard_of_port(rule.to.port, shard_count()), rule.external.port);
    }
    return ports;
  };
  const std::set<Port> old_ports = ports_of(before);
  const std::set<Port> new_ports = ports_of(after);
  for (const Port& one : old_ports) {
    if (new_ports.contains(one)) continue;
    const auto& [space, blocks, protocol, shard, port] = one;
    space->release(shard, port, now, PortSpace::Rest::full);
    if (blocks != nullptr) blocks->port_rests(protocol, port, now);
  }
  for (const Port& one : new_ports) {
    if (old_ports.contains(one)) continue;
    const auto& [space, blocks, protocol, shard, port] = one;
    // A shard may have just taken it; it gives it back when it sees the rule.
    while (!space->take_exactly(shard, port)) std::this_thread::yield();
    if (blocks != nullptr) blocks->port_ruled(protocol, port);
  }
}

template <class Family>
std::uint32_t Translator<Family>::expire(std::uint32_t number, Tick now, std::uint32_t budget) {
  if (shards_.empty()) return 0;
  datagrams_.expire(number, now, budget);
  externals_.expire_blocks(number, now);
  const Lock lock(shard(number).mutex);
  return shard(number).expire(now, budget);
}

template <class Family>
void Translator<Family>::append_port_blocks(std::vector<PortBlockView>& all) const {
  for (std::size_t i = 0; i < externals_.blocks().size(); ++i) {
    externals_.blocks()[i].for_each([&](NamespaceId owner, const PortRange& ports, bool rests) {
      all.push_back({owner, externals_.addresses()[i], ports, rests});
    });
  }
}

template <class Family>
void Translator<Family>::add_counters(Counters& sum) const {
  for (std::size_t i = 0; i < reason_count; ++i) {
    sum[i] += other_counters_[i].load(std::memory_order_relaxed);
  }
  for (const auto& one : shards_) {
    const Lock lock(one->mutex);
    for (std::size_t i = 0; i < reason_count; ++i) sum[i] += one->counters()[i];
  }
}

template class Translator<Ipv4>;
template class Translator<Ipv6>;

}  // namespace swnat
