#include "engine/policy_change.h"

#include <set>
#include <thread>
#include <tuple>
#include <utility>

namespace swnat {
namespace {

template <class Family>
void end_unfit(const Shards<Family>& shards, Tick now) {
  for (const auto& one : shards.all()) {
    std::uint32_t position = 0;
    bool goes_on = true;
    while (goes_on) {
      const Lock lock(one->mutex);
      goes_on = one->sessions().end_unfit(position, now);
    }
  }
}

// A forward's port belongs to the shard of its internal endpoint, so that both legs of its sessions
// meet there. By now no session has a port that the new rules do not allow it.
template <class Family>
void change_forwards(Externals<Family>& externals, std::uint32_t shards, const Policy& before,
                     const Policy& after, Tick now) {
  using Port = std::tuple<PortSpace*, PortBlocks*, std::size_t, std::uint32_t, std::uint16_t>;
  const auto ports_of = [&](const Policy& policy) {
    std::set<Port> ports;
    for (const ForwardRule& rule : policy.forwards) {
      const auto* address = std::get_if<typename Family::Address>(&rule.external.address);
      if (address == nullptr) continue;
      ports.emplace(&externals.ports(*address, rule.protocol),
                    externals.has_blocks() ? &externals.blocks(*address) : nullptr,
                    Externals<Family>::space_index(rule.protocol),
                    shard_of_port(rule.to.port, shards), rule.external.port);
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

}  // namespace

template <class Family>
PolicyChange<Family>::PolicyChange(const Shards<Family>& shards,
                                   std::shared_ptr<const Snapshot> first)
    : shards_(shards), snapshot_(std::move(first)) {
  if (!shards_.empty()) {
    change_forwards(shards_.externals(), shards_.count(), {}, snapshot_->policy(), 0);
  }
}

template <class Family>
void PolicyChange<Family>::join_adopted_blocks() {
  for (PortBlocks& blocks : shards_.externals().blocks()) {
    blocks.join_adopted([&](NamespaceId id) { return snapshot_->find(id)->blocks().size; });
  }
}

template <class Family>
void PolicyChange<Family>::follow(std::shared_ptr<const Snapshot> next, Tick now) {
  if (shards_.empty()) return;
  for (const auto& one : shards_.all()) {
    const Lock lock(one->mutex);
    one->sessions().set_snapshot(next);
  }
  end_unfit(shards_, now);
  change_forwards(shards_.externals(), shards_.count(), snapshot_->policy(), next->policy(), now);
  snapshot_ = std::move(next);
}

template class PolicyChange<Ipv4>;
template class PolicyChange<Ipv6>;

}  // namespace swnat
