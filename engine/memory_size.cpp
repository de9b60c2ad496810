#include "engine/memory_size.h"

#include <algorithm>

#include "engine/base/index.h"
#include "engine/fragments/fragment_table.h"
#include "engine/policy/namespaces.h"
#include "engine/ports/port_blocks.h"
#include "engine/ports/port_set.h"
#include "engine/session/activity.h"
#include "engine/session/links.h"
#include "engine/session/session_table.h"
#include "engine/wire/family.h"

namespace swnat {
namespace {

constexpr std::size_t identifications_size = 1u << 18;

// Slots that there are memory pages for. Those of namespaces that a policy does not have cost none,
// unless all is provided at once.
std::size_t slots_of(const EngineOptions& options, const Policy& policy) {
  if (options.populate) return max_slots;
  std::uint64_t count = 0;
  for (const NamespacePolicy& each : policy.namespaces) count += each.last - each.first + 1ull;
  const auto limited = std::ranges::count_if(
      policy.forwards, [](const ForwardRule& one) { return one.session_limit != 0; });
  return static_cast<std::size_t>(std::min<std::uint64_t>(count, namespaces_max) +
                                  static_cast<std::uint64_t>(limited));
}

std::size_t index_size(std::size_t entries) {
  return whole_pages(Index::lines_for(entries) * 64);
}

// Of one shard.
template <class Family>
std::size_t table_size(std::uint32_t capacity, std::size_t slots) {
  const std::size_t links = whole_pages(capacity * sizeof(SessionLinks));
  const std::size_t keys = index_size(std::size_t{capacity} * flow_keys) +
                           index_size(std::size_t{capacity} * mapping_keys);
  return links + keys + slots * SessionTable<Family>::bytes_per_slot() +
         sizeof(SessionTable<Family>);
}

// Of one external address, for TCP, UDP and ICMP.
std::size_t ports_size(const Policy& policy) {
  constexpr std::size_t of_any_port = sizeof(std::uint8_t) * 65'536 + 2 * 65'536 / 8;
  const PortRange envelope = policy.ports.envelope();
  const std::size_t count = envelope.last - envelope.first + 1u;
  const std::size_t blocks = policy.has_port_blocks() ? PortBlocks::memory_size() : 0;
  return 3 * (of_any_port + count * sizeof(RestingPort) + 2 * count / 8) + blocks;
}

template <class Family>
std::size_t family_size(const EngineOptions& options, std::uint32_t capacity,
                        const Policy& policy) {
  const std::size_t addresses = Family::of(policy.external).size();
  if (addresses == 0) return 0;
  const std::size_t slots = slots_of(options, policy);
  FragmentLimits fragments = fragment_limits<Family>(options.shards);
  if (!options.populate) {
    const std::uint64_t most = slots * std::uint64_t{fragments.per_namespace};
    fragments.namespaces =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(fragments.namespaces, most));
  }
  const std::size_t shard =
      table_size<Family>(capacity, slots) + FragmentTable<Family>::memory_size(fragments);
  return options.shards * shard + addresses * ports_size(policy);
}

}  // namespace

std::size_t memory_size(const EngineOptions& options, std::uint32_t capacity,
                        const Policy& policy) {
  return identifications_size + sizeof(ForwardNamespaces) +
         slots_of(options, policy) * NamespaceUses::bytes_per_slot() +
         family_size<Ipv4>(options, capacity, policy) +
         family_size<Ipv6>(options, capacity, policy);
}

}  // namespace swnat
