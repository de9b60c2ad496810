// A shard's ports where they come in blocks (port_blocks.h).
#include "engine/ports/port_sequence.h"
#include "engine/shard.h"

namespace swnat {

template <class Family>
bool Shard<Family>::has_port_of_block(const Plan& plan, std::uint8_t protocol, Tick now) {
  return externals_.blocks(plan.external.address)
      .has_any(plan.tenant.blocks(), Externals<Family>::place_of(protocol), plan.inside.local_port,
               random_.next(), now);
}

template <class Family>
std::optional<std::uint16_t> Shard<Family>::take_port_of_block(const Plan& plan,
                                                               std::uint8_t protocol, Tick now) {
  return externals_.blocks(plan.external.address)
      .take(plan.tenant.blocks(), Externals<Family>::place_of(protocol), number_,
            plan.inside.local_port, random_.next(), now);
}

template <class Family>
void Shard<Family>::pass_over_in_block(const Plan& plan, std::uint8_t protocol, std::uint16_t port,
                                       Tick now) {
  externals_.blocks(plan.external.address)
      .pass_over(Externals<Family>::place_of(protocol), number_, port, now);
}

// As find_port_for_remote(), among the ports of the owner's blocks: in the oldest lies the port
// that the flow names, the newest is the one that is being filled, and others may have room again.
// Where a bounded number of ports are all taken for the remote, a new block is.
template <class Family>
bool Shard<Family>::find_port_in_blocks(Plan& plan, std::uint8_t protocol, Choice choice,
                                        Tick now) {
  constexpr std::uint32_t tried_of_newest = tried_per_parity / 2;
  PortBlocks& blocks = externals_.blocks(plan.external.address);
  const NamespaceId owner = plan.tenant.id;
  const PortRanges& ranges = snapshot_->policy().ports;
  const PortSpace& space = externals_.ports(plan.external.address, protocol);
  const auto serves = [&](std::uint16_t port) {
    plan.external.port = plan.outside.local_port = port;
    return !space.is_withheld(port) && is_free_for_remote(plan, protocol, now) &&
           (choice == Choice::taken ? blocks.use(owner, port, now) : blocks.has(owner, port));
  };
  std::array<PortRange, PortBlocks::searched_max> some;
  // What is only possible is looked for again, in the same ones.
  const bool is_taken = choice == Choice::taken;
  const std::span<const PortRange> own{some.data(), blocks.some_of(owner, some, is_taken)};
  const std::uint32_t like = plan.inside.local_port & 1u;
  for (const std::uint32_t parity : {like, like ^ 1u}) {
    for (std::size_t i = 0; i < own.size(); ++i) {
      const PortSequence ports(ranges, number_ << 1 | parity, 2 * shards_, own[i]);
      if (ports.count() == 0) continue;
      if (i == 0 && serves(ports[ports.place_of(place_of_flow(plan))])) return true;
      std::uint32_t tries = tried_per_parity;
      if (own.size() > 1) {
        const auto others = static_cast<std::uint32_t>(own.size() - 1);
        tries = i == 1 ? tried_of_newest : std::max(1u, (tried_per_parity / 2) / others);
      }
      if (ports.any_of_spread(tries, random_, serves)) return true;
    }
  }
  if (find_port_in_new_block(plan, protocol, choice, now)) return true;
  if (!is_taken) blocks.some_of(owner, some, true);
  return false;
}

// Nobody has a session in it.
template <class Family>
bool Shard<Family>::find_port_in_new_block(Plan& plan, std::uint8_t protocol, Choice choice,
                                           Tick now) {
  const Address& address = plan.external.address;
  const PortRanges& ranges = snapshot_->policy().ports;
  const PortSpace& space = externals_.ports(address, protocol);
  const auto serves = [&](std::uint16_t port) {
    if (space.is_withheld(port) || space.shard_of(port) != number_ ||
        rules().forward(protocol, {address, port}) != nullptr) {
      return false;
    }
    plan.external.port = plan.outside.local_port = port;
    return true;
  };
  const auto is_found = [&](const PortRange& block) {
    const std::uint32_t like = plan.inside.local_port & 1u;
    for (const std::uint32_t parity : {like, like ^ 1u}) {
      const PortSequence ports(ranges, number_ << 1 | parity, 2 * shards_, block);
      if (ports.count() == 0) continue;
      if (serves(ports[ports.place_of(place_of_flow(plan))]) ||
          ports.any_of_spread(tried_per_parity, random_, serves)) {
        return true;
      }
    }
    return false;
  };
  PortBlocks& blocks = externals_.blocks(address);
  const BlockTaker taker = plan.tenant.blocks();
  const std::size_t place = Externals<Family>::place_of(protocol);
  if (choice == Choice::possible)
    return blocks.has_new(taker, place, random_.next(), now, is_found);
  if (!blocks.use_new(taker, place, random_.next(), now, is_found)) return false;
  if (is_free_outside(plan, protocol, now)) return true;
  release_in_block(plan.outside, protocol, now);
  return false;
}

template <class Family>
void Shard<Family>::release_in_block(const Leg<Family>& outside, std::uint8_t protocol, Tick now) {
  externals_.blocks(outside.local)
      .release(Externals<Family>::place_of(protocol), number_, outside.local_port, now);
}

// `mapping`: another session of the same mapping, whose port it is already.
template <class Family>
bool Shard<Family>::may_adopt_in_block(const Record& session, SessionRef mapping) {
  if (!externals_.has_blocks() || !counts_as_port(session) || mapping != no_session) return true;
  return externals_.blocks(session.outside.local)
      .adopt(session.namespace_id, Externals<Family>::place_of(session.protocol), number_,
             session.outside.local_port);
}

#define SWNAT_SHARD_BLOCKS(Family)                                                                 \
  template bool Shard<Family>::has_port_of_block(const Plan&, std::uint8_t, Tick);                 \
  template std::optional<std::uint16_t> Shard<Family>::take_port_of_block(const Plan&,             \
                                                                          std::uint8_t, Tick);     \
  template void Shard<Family>::pass_over_in_block(const Plan&, std::uint8_t, std::uint16_t, Tick); \
  template bool Shard<Family>::find_port_in_blocks(Plan&, std::uint8_t, Choice, Tick);             \
  template bool Shard<Family>::find_port_in_new_block(Plan&, std::uint8_t, Choice, Tick);          \
  template void Shard<Family>::release_in_block(const Leg<Family>&, std::uint8_t, Tick);           \
  template bool Shard<Family>::may_adopt_in_block(const Record&, SessionRef);
SWNAT_SHARD_BLOCKS(Ipv4)
SWNAT_SHARD_BLOCKS(Ipv6)
#undef SWNAT_SHARD_BLOCKS

}  // namespace swnat
