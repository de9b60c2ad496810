// Theory of operation
//
// A packet's life: parse → classify → find its session, or establish one → update its state →
// rewrite → verdict. Common packets (common_packet.h) do the first steps together (batch.h). All
// others take the slow way, alone: fragments (fragments/datagrams.h), hairpins, ICMP errors, and
// those that need room made for them. No thread ever holds two shards' locks: a hairpin is two
// steps, and so is making room in a namespace whose first session to go another shard has.
#include "engine/translator.h"

#include <algorithm>
#include <utility>

#include "engine/opening_packet.h"
#include "engine/ports/block_units.h"

namespace swnat {
namespace {

template <class Family>
Shards<Family> make_shards(const EngineOptions& options, std::uint32_t capacity,
                           std::span<std::byte> memory,
                           const std::shared_ptr<const Snapshot>& snapshot, NamespaceUses& uses,
                           Externals<Family>& externals) {
  Shards<Family> shards(options.shards, externals);
  if (externals.addresses().empty()) return shards;
  for (std::uint32_t number = 0; number < options.shards; ++number) {
    const auto part =
        session_memory_part<Family>(memory, options.shards, capacity, snapshot->policy(), number);
    const ShardOptions<Family> own{number, options.shards, options.secret, part};
    shards.add(std::make_unique<Shard<Family>>(own, snapshot, externals, uses));
  }
  return shards;
}

}  // namespace

template <class Family>
Translator<Family>::Translator(const EngineOptions& options, std::uint32_t capacity,
                               std::span<std::byte> memory,
                               std::shared_ptr<const Snapshot> snapshot, NamespaceUses& uses,
                               Identifications& identifications, SharedEventOutlet& block_events,
                               Eviction& eviction)
    : externals_(snapshot->policy(), options.shards, keys_from(*pairing_key_of(memory)),
                 block_events),
      shards_(make_shards(options, capacity, memory, snapshot, uses, externals_)),
      datagrams_(shards_.empty() ? 0 : options.shards, options.secret, identifications),
      batch_(shards_, datagrams_, options.secret),
      passage_(shards_, eviction),
      hairpin_(shards_, passage_, snapshot->policy().hairpin),
      foresight_(shards_, eviction, hairpin_),
      policy_change_(shards_, std::move(snapshot)) {
  for (const auto& one : shards_.all()) eviction.add(one.get());
}

template <class Family>
void Translator<Family>::populate() {
  externals_.populate();
  for (const auto& one : shards_.all()) {
    const Lock lock(one->mutex);
    one->populate();
  }
  datagrams_.populate();
}

template <class Family>
void Translator<Family>::adopt(Tick now, bool is_recent) {
  for (const auto& one : shards_.all()) {
    const Lock lock(one->mutex);
    one->adopt(now, is_recent);
  }
  policy_change_.join_adopted_blocks();
}

template <class Family>
Places Translator<Family>::translate(std::span<Packet> packets, Places places, Tick now) {
  Places of_others = 0;
  while (places != 0) {
    const Places alone = batch_.translate(packets, places, of_others, now);
    for_each(alone, [&](std::size_t i) { translate_alone(packets[i], now); });
  }
  return of_others;
}

// By the first packet of such a session, which says all that is asked about one.
template <class Family>
Engine::Kept Translator<Family>::keep_session(const SessionName& name, Tick now) {
  if (shards_.empty()) return {Reason::no_external_address, {}};
  OpeningPacket<Family> opening(name);
  Packet packet{.bytes = opening.bytes(), .namespace_id = name.namespace_id};
  Parsed<Family> parsed;
  if (const auto fault = parse(packet.bytes, packet.direction, parsed)) return {*fault, {}};
  Endpoint<typename Family::Address> external;
  const Reason reason = passage_.keep(parsed, packet, external, now);
  return {reason, external};
}

// The slow way.
template <class Family>
void Translator<Family>::translate_alone(Packet& packet, Tick now) {
  packet.datagram = 0;
  if (shards_.empty()) return finish(packet, Reason::no_external_address);
  Parsed<Family> parsed;
  if (const auto fault = parse(packet.bytes, packet.direction, parsed)) {
    return finish(packet, untranslatable(*fault, parsed, packet, now));
  }
  if (parsed.piece.is_fragment()) {
    return finish(packet, translate_fragment(parsed, packet, now));
  }
  finish_whole(datagrams_, packet, translate_whole(parsed, packet, now));
  finish(packet, packet.reason);
}

template <class Family>
void Translator<Family>::finish(Packet& packet, Reason reason) {
  packet.reason = reason;
  counters_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
}

template <class Family>
Reason Translator<Family>::translate_whole(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  switch (packet.direction) {
    case Direction::outbound:
      return passage_.outbound(parsed, packet, now);
    case Direction::inbound:
      return passage_.inbound(parsed, packet, now);
    case Direction::hairpin:
      return hairpin_.translate(parsed, packet, now);
  }
  return Reason::not_ip;
}

template <class Family>
Reason Translator<Family>::translate_fragment(const Parsed<Family>& parsed, Packet& packet,
                                              Tick now) {
  if (packet.direction != Direction::inbound && packet.namespace_id == 0) {
    return packet.direction == Direction::outbound ? Reason::unknown_namespace
                                                   : Reason::foreign_fwmark;
  }
  if (parsed.piece.is_later()) return datagrams_.follow(parsed, packet, now);
  const DatagramKey<Family> key = datagrams_.name(parsed, packet);
  // Its sum cannot be finished here: that covers all of the datagram.
  const Reason reason = packet.checksum == ChecksumState::complete
                            ? translate_whole(parsed, packet, now)
                            : Reason::fragment_unfinished;
  datagrams_.remember(key, parsed, packet, reason, now);
  return reason;
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
    Shard<Family>& any = shards_[0];
    const Lock lock(any.mutex);
    reason = any.rule_for(packet.namespace_id, parsed).value_or(reason);
  }
  if (!parsed.piece.is_first_of_several() || (!is_inbound && packet.namespace_id == 0))
    return reason;
  datagrams_.remember(datagrams_.name(parsed, packet), parsed, packet, reason, now);
  return reason;
}

// --- the policy, and what is due

template <class Family>
void Translator<Family>::set_snapshot(std::shared_ptr<const Snapshot> snapshot, Tick now) {
  hairpin_.allow(snapshot->policy().hairpin);
  policy_change_.follow(std::move(snapshot), now);
}

template <class Family>
std::optional<IpEndpoint> Translator<Family>::propose_external(const NamespaceEntry& tenant,
                                                               const Engine::ForwardWish& wish,
                                                               Tick now) {
  using Address = typename Family::Address;
  if (shards_.empty()) return {};
  const Leg<Family> inside{std::get<Address>(wish.internal.address), {}, wish.internal.port, 0};
  const std::uint32_t number = shard_of_port(inside.local_port, shards_.count());
  {
    Shard<Family>& shard = shards_[number];
    const Lock lock(shard.mutex);
    Sessions<Family>& sessions = shard.sessions();
    const auto key = FlowKey<Family>::internal(tenant.id, wish.protocol, inside);
    const SessionRef ref = sessions.policy().mapping == Mapping::endpoint_independent
                               ? sessions.find_mapping(key, now)
                               : no_session;
    if (ref != no_session && !sessions[ref].is_forward) {
      const Leg<Family>& outside = sessions[ref].outside;
      return IpEndpoint{outside.local, outside.local_port};
    }
  }
  const Address* wanted = wish.external ? std::get_if<Address>(&*wish.external) : nullptr;
  if (wish.external && (wanted == nullptr || !externals_.contains(*wanted))) return {};
  const Address address =
      wish.external ? *wanted : externals_.paired(inside.local, tenant.id, *tenant.policy);
  // Taken for as long as it takes to know that it is free.
  PortSpace& ports = externals_.ports(address, wish.protocol);
  const auto port = ports.take(number, wish.like, wish.random, now);
  if (!port) return {};
  ports.release(number, *port, now, PortSpace::Rest::none);
  return IpEndpoint{address, *port};
}

template <class Family>
std::uint32_t Translator<Family>::expire(std::uint32_t number, Tick now, std::uint32_t budget) {
  if (shards_.empty()) return 0;
  datagrams_.expire(number, now, budget);
  externals_.expire_blocks(number, now);
  const Lock lock(shards_[number].mutex);
  return shards_[number].sessions().expire(now, budget);
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
void Translator<Family>::append_ports(std::vector<PortUse>& all, Tick now) const {
  const auto& addresses = externals_.addresses();
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    std::vector<PortRange> resting_blocks;
    resting_blocks.reserve(BlockUnits::count);  // under the lock nothing is to be allocated
    if (externals_.has_blocks()) {
      externals_.blocks()[i].for_each([&](NamespaceId, const PortRange& ports, bool rests) {
        if (rests) resting_blocks.push_back(ports);
      });
    }
    for (const std::uint8_t protocol : {protocol::tcp, protocol::udp, Family::icmp_protocol}) {
      const PortSpace& space = externals_.ports(addresses[i], protocol);
      const PortSpace::Use use = space.use(now);
      std::uint32_t in_resting_blocks = 0;
      for (const PortRange& one : resting_blocks) in_resting_blocks += space.count_within(one);
      // A block may have ended its rest meanwhile.
      in_resting_blocks = std::min(in_resting_blocks, use.free);
      all.push_back({addresses[i], protocol, use.used, use.resting + in_resting_blocks,
                     use.withheld, use.free - in_resting_blocks});
    }
  }
}

template <class Family>
void Translator<Family>::add_counters(Counters& sum) const {
  for (std::size_t i = 0; i < reason_count; ++i) {
    sum[i] += counters_[i].load(std::memory_order_relaxed);
  }
  for (const auto& one : shards_.all()) {
    const Lock lock(one->mutex);
    for (std::size_t i = 0; i < reason_count; ++i) sum[i] += one->counters()[i];
  }
}

template class Translator<Ipv4>;
template class Translator<Ipv6>;

}  // namespace swnat
