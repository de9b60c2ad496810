#include "engine/policy/namespaces.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

#include "engine/policy/require.h"

namespace swnat {
namespace {

constexpr std::uint32_t no_port_limit = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t slot_spread = 0x9e37'79b9'7f4a'7c15;  // 2^64 / golden ratio

bool is_block_size(std::uint32_t size) {
  return size == 0 ||
         (std::has_single_bit(size) && size >= port_block_min && size <= port_block_max);
}

template <class Address>
bool is_subset(const std::vector<Address>& some, const std::vector<Address>& all) {
  return std::ranges::all_of(
      some, [&](const Address& address) { return std::ranges::find(all, address) != all.end(); });
}

void check_settings(const Policy& policy) {
  require(!policy.external.empty(), "a policy needs an external address");
  require(policy.external.v4.size() <= external_addresses_max &&
              policy.external.v6.size() <= external_addresses_max,
          "a policy may have 64 external addresses of a family");
  require(policy.ports.is_valid(),
          "the external ports must be 1 to 64 ranges within 1 to 65535, apart");
  for (const auto timeout : {policy.timeouts.tcp_established, policy.timeouts.tcp_transitory,
                             policy.timeouts.udp, policy.timeouts.icmp}) {
    require(timeout.count() >= 0 && timeout <= max_timeout, "a timeout must be within 0 to 7 days");
  }
  std::uint64_t count = 0;
  std::uint64_t next_id = 1;
  for (const NamespacePolicy& one : policy.namespaces) {
    require(one.first >= next_id && one.last >= one.first,
            "namespaces must be sorted by id, apart, and not 0");
    require(one.session_limit >= 1, "a session limit must be at least 1");
    require(is_block_size(one.port_block), "a port block must be 0 or a power of two, 64 to 4096");
    require(is_subset(one.external.v4, policy.external.v4) &&
                is_subset(one.external.v6, policy.external.v6),
            "a namespace's external addresses must be among the policy's");
    next_id = std::uint64_t{one.last} + 1;
    count += next_id - one.first;
  }
  require(count <= namespaces_max, "there may be at most 65536 namespaces");
}

const Policy& checked(const std::shared_ptr<const Policy>& policy) {
  require(policy != nullptr, "an engine needs a policy");
  check_settings(*policy);
  check_policy_rules(*policy);
  return *policy;
}

std::uint64_t namespace_count(const Policy& policy) {
  std::uint64_t count = 0;
  for (const NamespacePolicy& one : policy.namespaces) {
    count += std::uint64_t{one.last} - one.first + 1;
  }
  return count;
}

// The slots, and one for each of the policy's forwards that has room of its own.
Slots with_forwards(const Policy& policy, const Slots& slots) {
  const auto limited = std::ranges::count_if(
      policy.forwards, [](const ForwardRule& one) { return one.session_limit != 0; });
  require(limited <= max_limited_forwards, "at most 4096 forwards may have a session limit");
  Slots next = slots;
  std::vector<bool> is_used(max_forward_slots);
  for (const auto& [key, slot] : next.forwards) is_used[slot - namespaces_max] = true;
  for (const ForwardRule& rule : policy.forwards) {
    if (rule.session_limit == 0) continue;
    const auto [entry, added] = next.forwards.try_emplace(room_of(rule));
    if (!added) continue;
    const auto spare = std::ranges::find(is_used, false);
    *spare = true;
    entry->second = namespaces_max + static_cast<std::uint32_t>(spare - is_used.begin());
  }
  return next;
}

}  // namespace

void Slots::keep_only(const Policy& policy) {
  std::set<ForwardRoom> limited;
  for (const ForwardRule& rule : policy.forwards) {
    if (rule.session_limit != 0) limited.insert(room_of(rule));
  }
  std::erase_if(forwards, [&](const auto& one) { return !limited.contains(one.first); });
}

Snapshot::Snapshot(const std::shared_ptr<const Policy>& policy, Slots& slots)
    : Snapshot(policy, slots, with_forwards(checked(policy), slots)) {}

Snapshot::Snapshot(std::shared_ptr<const Policy> policy, Slots& slots, Slots next)
    : policy_(std::move(policy)),
      rules_(RuleBook<Ipv4>(*policy_, next.forwards), RuleBook<Ipv6>(*policy_, next.forwards)) {
  const std::uint64_t count = namespace_count(*policy_);
  namespaces_.reserve(count);
  const auto table_size =
      static_cast<std::uint32_t>(std::bit_ceil(std::max<std::uint64_t>(count * 2, 2)));
  positions_.resize(table_size);
  shift_ = 64 - static_cast<std::uint32_t>(std::countr_zero(table_size));
  for (const NamespacePolicy& one : policy_->namespaces) {
    for (std::uint64_t id = one.first; id <= one.last; ++id) {
      const auto next_slot = static_cast<std::uint32_t>(next.namespaces.size());
      const auto [entry, added] =
          next.namespaces.try_emplace(static_cast<NamespaceId>(id), next_slot);
      require(entry->second < namespaces_max,
              "more than 65536 namespaces since the engine was made");
      namespaces_.push_back({static_cast<NamespaceId>(id), entry->second, one.session_limit,
                             one.port_limit == 0 ? no_port_limit : one.port_limit, &one});
      std::uint64_t at = id * slot_spread >> shift_;
      while (positions_[at] != 0) at = (at + 1) % table_size;
      positions_[at] = static_cast<std::uint32_t>(namespaces_.size());
    }
  }
  for (const ForwardRule& rule : policy_->forwards) {
    if (rule.session_limit == 0) continue;
    next.forward_namespaces->bind(next.forwards.at(room_of(rule)), find(rule.namespace_id)->slot);
  }
  forward_namespaces_ = next.forward_namespaces;
  slots = std::move(next);
}

const NamespaceEntry* Snapshot::find(NamespaceId id) const {
  for (std::uint64_t at = id * slot_spread >> shift_; positions_[at] != 0;
       at = (at + 1) % positions_.size()) {
    const NamespaceEntry& tenant = namespaces_[positions_[at] - 1];
    if (tenant.id == id) return &tenant;
  }
  return nullptr;
}

}  // namespace swnat
