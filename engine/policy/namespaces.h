// The namespaces of a policy, found by id, and what each of them uses.
//
// Sessions count in slots: a namespace has one, and so has a forward with room of its own. A
// namespace keeps its slot for as long as the engine lives, over changes of policy, so that lists
// and counts are arrays. A Snapshot is immutable: a shard changes to a new one under its own lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "engine/base/memory.h"
#include "engine/policy/rule_book.h"
#include "swnat/limits.h"
#include "swnat/policy.h"

namespace swnat {

inline constexpr std::uint32_t max_limited_forwards = 4096;
// Behind those of namespaces. While one policy follows another both have theirs.
inline constexpr std::uint32_t max_forward_slots = 2 * max_limited_forwards;
inline constexpr std::uint32_t max_slots = namespaces_max + max_forward_slots;

// Whose the sessions are that count in a slot. That of a forward stays one namespace's for as long
// as any count there. Thread-safe.
class ForwardNamespaces {
 public:
  std::uint32_t namespace_slot_of(std::uint32_t slot) const {
    return slot < namespaces_max ? slot
                                 : slots_[slot - namespaces_max].load(std::memory_order_relaxed);
  }
  void bind(std::uint32_t forward_slot, std::uint32_t namespace_slot) {
    slots_[forward_slot - namespaces_max].store(namespace_slot, std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<std::uint32_t>, max_forward_slots> slots_{};
};

struct Slots {
  std::unordered_map<NamespaceId, std::uint32_t> namespaces;
  ForwardSlots forwards;
  std::shared_ptr<ForwardNamespaces> forward_namespaces = std::make_shared<ForwardNamespaces>();

  // Gives those of forwards that have no room of their own any more, and no sessions that count
  // there, to others.
  void keep_only(const Policy& policy);
};

// Who takes ports in blocks, and of how many ports a new one is; 0: of as few as may be.
struct BlockTaker {
  NamespaceId owner = 0;
  std::uint32_t size = 0;
};

struct NamespaceEntry {
  NamespaceId id = 0;
  std::uint32_t slot = 0;
  std::uint32_t session_limit = 0;
  std::uint32_t port_limit = 0;  // the greatest number where there is none
  const NamespacePolicy* policy = nullptr;

  BlockTaker blocks() const { return {id, policy->port_block}; }
};

class Snapshot {
 public:
  // Gives a slot to each namespace and forward that needs one and has none yet. Throws
  // std::invalid_argument, changing nothing, for a policy out of its documented ranges or when
  // there are no more slots.
  Snapshot(const std::shared_ptr<const Policy>& policy, Slots& slots);

  const Policy& policy() const { return *policy_; }
  template <class Family>
  const RuleBook<Family>& rules() const {
    return std::get<RuleBook<Family>>(rules_);
  }
  const NamespaceEntry* find(NamespaceId id) const;
  const std::vector<NamespaceEntry>& namespaces() const { return namespaces_; }
  const std::shared_ptr<const ForwardNamespaces>& forward_namespaces() const {
    return forward_namespaces_;
  }

 private:
  Snapshot(std::shared_ptr<const Policy> policy, Slots& slots, Slots next);

  std::shared_ptr<const Policy> policy_;
  std::tuple<RuleBook<Ipv4>, RuleBook<Ipv6>> rules_;
  std::shared_ptr<const ForwardNamespaces> forward_namespaces_;
  std::vector<NamespaceEntry> namespaces_;  // sorted by id
  // Open addressing over id: place in namespaces_ plus 1, or 0.
  std::vector<std::uint32_t> positions_;
  std::uint32_t shift_ = 0;
};

// Sessions of each slot, external ports of each namespace, and sessions of all, over all shards and
// families.
// The count is taken before a session is made, or a port taken, so that shards that race cannot
// exceed a limit together.
class NamespaceUses {
 public:
  enum class Taken : std::uint8_t { yes, namespace_is_full, table_is_full };

  explicit NamespaceUses(std::uint32_t max_sessions) : max_sessions_(max_sessions) {}

  void populate() {
    uses_.populate();
    losses_.populate();
  }

  Taken take(std::uint32_t slot, std::uint32_t limit) {
    std::atomic_ref count(uses_[slot].sessions);
    if (!raise(count, limit)) return Taken::namespace_is_full;
    if (raise(total_, max_sessions_)) return Taken::yes;
    count.fetch_sub(1, std::memory_order_relaxed);
    return Taken::table_is_full;
  }
  // What `take` would return, were there so many sessions more in the slot, and in all.
  Taken foretell(std::uint32_t slot, std::uint32_t limit, std::uint32_t more_there,
                 std::uint32_t more_in_all) {
    if (count(slot) + more_there >= limit) return Taken::namespace_is_full;
    return total() + more_in_all < max_sessions_ ? Taken::yes : Taken::table_is_full;
  }
  std::uint32_t total() const { return total_.load(std::memory_order_relaxed); }
  std::uint32_t max_sessions() const { return max_sessions_; }
  // A session that is there already; the caller sees to those beyond the limit.
  void add(std::uint32_t slot) {
    std::atomic_ref(uses_[slot].sessions).fetch_add(1, std::memory_order_relaxed);
    total_.fetch_add(1, std::memory_order_relaxed);
  }
  void give_back(std::uint32_t slot) {
    std::atomic_ref(uses_[slot].sessions).fetch_sub(1, std::memory_order_relaxed);
    total_.fetch_sub(1, std::memory_order_relaxed);
  }
  // A session counts there from now on, be it beyond the limit.
  void move(std::uint32_t from, std::uint32_t to) {
    std::atomic_ref(uses_[to].sessions).fetch_add(1, std::memory_order_relaxed);
    std::atomic_ref(uses_[from].sessions).fetch_sub(1, std::memory_order_relaxed);
  }
  std::uint32_t count(std::uint32_t slot) {
    return std::atomic_ref(uses_[slot].sessions).load(std::memory_order_relaxed);
  }

  // Ports: one for each mapping that has one which no rule gives it.
  bool take_port(std::uint32_t slot, std::uint32_t limit) {
    std::atomic_ref count(uses_[slot].ports);
    return raise(count, limit);
  }
  // One that it has already, be it beyond the limit.
  void add_port(std::uint32_t slot) {
    std::atomic_ref(uses_[slot].ports).fetch_add(1, std::memory_order_relaxed);
  }
  void give_back_port(std::uint32_t slot) {
    std::atomic_ref(uses_[slot].ports).fetch_sub(1, std::memory_order_relaxed);
  }
  std::uint32_t port_count(std::uint32_t slot) {
    return std::atomic_ref(uses_[slot].ports).load(std::memory_order_relaxed);
  }
  // Those that are over, of which one may be given up at any time.
  void add_over(std::uint32_t slot) {
    std::atomic_ref(uses_[slot].over).fetch_add(1, std::memory_order_relaxed);
  }
  void remove_over(std::uint32_t slot) {
    std::atomic_ref(uses_[slot].over).fetch_sub(1, std::memory_order_relaxed);
  }
  bool has_over(std::uint32_t slot) {
    return std::atomic_ref(uses_[slot].over).load(std::memory_order_relaxed) != 0;
  }

  // Since the engine was made, by the slot of a namespace.
  void add_made(std::uint32_t slot) { add_one(uses_[slot].made); }
  std::uint64_t made(std::uint32_t slot) {
    return std::atomic_ref(uses_[slot].made).load(std::memory_order_relaxed);
  }
  void add_evicted(std::uint32_t slot) { add_one(losses_[slot].evicted); }
  void add_refused(std::uint32_t slot) { add_one(losses_[slot].refused); }
  std::uint64_t evicted(std::uint32_t slot) {
    return std::atomic_ref(losses_[slot].evicted).load(std::memory_order_relaxed);
  }
  std::uint64_t refused(std::uint32_t slot) {
    return std::atomic_ref(losses_[slot].refused).load(std::memory_order_relaxed);
  }

  static constexpr std::size_t bytes_per_slot() { return sizeof(Use) + sizeof(Losses); }

 private:
  struct Use {
    std::uint32_t sessions;
    std::uint32_t ports;
    std::uint32_t over;  // of the sessions
    std::uint64_t made;  // sessions, of a namespace
  };
  // Apart, because few namespaces have any.
  struct Losses {
    std::uint64_t evicted;
    std::uint64_t refused;
  };

  static void add_one(std::uint64_t& count) {
    std::atomic_ref(count).fetch_add(1, std::memory_order_relaxed);
  }

  // Never above the limit, not even for a moment, in which another thread would see it exceeded.
  template <class Count>
  static bool raise(Count& count, std::uint32_t limit) {
    std::uint32_t before = count.load(std::memory_order_relaxed);
    while (before < limit) {
      if (count.compare_exchange_weak(before, before + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  std::uint32_t max_sessions_;
  std::atomic<std::uint32_t> total_{0};
  ReservedArray<Use> uses_{max_slots};
  ReservedArray<Losses> losses_{namespaces_max};
};

}  // namespace swnat
