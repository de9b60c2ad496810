#include "engine/block_choice.h"

#include <algorithm>
#include <array>
#include <span>

namespace swnat {

template <class Family>
bool BlockChoice<Family>::has_port(const NewSession<Family>& wanted, std::uint8_t protocol,
                                   Tick now) {
  return blocks(wanted).has_any(wanted.tenant.blocks(), space_index(protocol),
                                wanted.inside.local_port, seeker_.random(), now,
                                sessions_.is_looking());
}

template <class Family>
std::optional<std::uint16_t> BlockChoice<Family>::take_port(const NewSession<Family>& wanted,
                                                            std::uint8_t protocol, Tick now) {
  return blocks(wanted).take(wanted.tenant.blocks(), space_index(protocol), sessions_.shard(),
                             wanted.inside.local_port, seeker_.random(), now);
}

template <class Family>
void BlockChoice<Family>::pass_over(const NewSession<Family>& wanted, std::uint8_t protocol,
                                    std::uint16_t port, Tick now) {
  blocks(wanted).pass_over(space_index(protocol), sessions_.shard(), port, now);
}

// Among the ports of the owner's blocks: in the oldest lies the port that the flow names, the
// newest is the one that is being filled, and others may have room again. Where a bounded number of
// ports are all taken for the remote, a new block is.
template <class Family>
bool BlockChoice<Family>::find_port(NewSession<Family>& wanted, std::uint8_t protocol,
                                    Choice choice, Tick now) {
  constexpr std::uint32_t tried_of_newest = tried_per_parity / 2;
  PortBlocks& all = blocks(wanted);
  const NamespaceId owner = wanted.tenant.id;
  const PortSpace& space = sessions_.externals().ports(wanted.outside.local, protocol);
  const auto serves = [&](std::uint16_t port) {
    wanted.outside.local_port = port;
    return !space.is_withheld(port) && seeker_.is_free_for_remote(wanted, protocol, now) &&
           (choice == Choice::taken ? all.use(owner, port, now) : all.has(owner, port, now));
  };
  std::array<PortRange, PortBlocks::searched_max> some;
  // What is only possible is looked for again, in the same ones.
  const bool is_taken = choice == Choice::taken;
  const std::span<const PortRange> own{some.data(), all.some_of(owner, some, is_taken)};
  const bool tries_all = own.size() < 2 || tries_all_of(own.size());
  const std::uint32_t like = wanted.inside.local_port & 1u;
  for (const std::uint32_t parity : {like, like ^ 1u}) {
    for (std::size_t i = 0; i < own.size(); ++i) {
      const PortSequence ports = seeker_.own_ports(parity, own[i]);
      if (ports.count() == 0) continue;
      if (i == 0 && seeker_.serves_named(ports, wanted, serves)) return true;
      std::uint32_t tries = tried_per_parity;
      if (!tries_all) {
        const auto others = static_cast<std::uint32_t>(own.size() - 1);
        tries = i == 1 ? tried_of_newest : std::max(1u, (tried_per_parity / 2) / others);
      }
      if (seeker_.serves_any(ports, tries, serves)) return true;
    }
  }
  if (find_port_in_new_block(wanted, protocol, choice, now)) return true;
  if (!is_taken && !sessions_.is_looking()) all.some_of(owner, some, true);
  return false;
}

template <class Family>
bool BlockChoice<Family>::tries_all_ports(const NewSession<Family>& wanted) {
  std::array<PortRange, PortBlocks::searched_max> some;
  return tries_all_of(blocks(wanted).some_of(wanted.tenant.id, some, false));
}

// Where all ports together are no more than are tried, those of each block can be, too.
template <class Family>
bool BlockChoice<Family>::tries_all_of(std::size_t blocks) const {
  return blocks < PortBlocks::searched_max && seeker_.tries_all_ports();
}

// Nobody has a session in it.
template <class Family>
bool BlockChoice<Family>::find_port_in_new_block(NewSession<Family>& wanted, std::uint8_t protocol,
                                                 Choice choice, Tick now) {
  const auto& address = wanted.outside.local;
  const PortSpace& space = sessions_.externals().ports(address, protocol);
  const auto serves = [&](std::uint16_t port) {
    if (space.is_withheld(port) || space.shard_of(port) != sessions_.shard() ||
        sessions_.rules().forward(protocol, {address, port}) != nullptr) {
      return false;
    }
    wanted.outside.local_port = port;
    return true;
  };
  const auto is_found = [&](const PortRange& block) {
    const std::uint32_t like = wanted.inside.local_port & 1u;
    for (const std::uint32_t parity : {like, like ^ 1u}) {
      const PortSequence ports = seeker_.own_ports(parity, block);
      if (ports.count() == 0) continue;
      if (seeker_.serves_named(ports, wanted, serves) ||
          seeker_.serves_any(ports, tried_per_parity, serves)) {
        return true;
      }
    }
    return false;
  };
  PortBlocks& all = blocks(wanted);
  const BlockTaker taker = wanted.tenant.blocks();
  const std::size_t index = space_index(protocol);
  if (choice != Choice::taken) {
    return all.has_new(taker, index, seeker_.random(), now, sessions_.is_looking(), is_found);
  }
  if (!all.use_new(taker, index, seeker_.random(), now, is_found)) return false;
  if (sessions_.is_free_outside(wanted, protocol, now)) return true;
  all.release(index, sessions_.shard(), wanted.outside.local_port, now);
  return false;
}

template class BlockChoice<Ipv4>;
template class BlockChoice<Ipv6>;

}  // namespace swnat
