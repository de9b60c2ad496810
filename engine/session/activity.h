// One shard's sessions of each namespace, so that it is known which has to go first: by rank, and
// in each rank the least recently active one.
//
// Theory of operation
//
// A packet stores its tick in the session and moves nothing. Here a session has a place by the tick
// that it had when it took that place, `queued`, which is never later than its last packet. So when
// the two ticks of the first session agree, no other can be older: it is the least recently active,
// exactly. When they differ it is put where its last packet belongs, and the next one is asked.
//
// Places are of two kinds. A new session goes to the end of a list that is sorted by `queued`. A
// session that would not keep it sorted there, as most that were asked and found to be active
// again, goes into a heap. The first one is whichever is earlier of the list's first and the heap's
// root. Both ends of the list and the heap's inside are reached without a search, so a session
// costs O(1), and amortized O(log n) for each time that packets made it active since it was last
// asked. A single call asks no more than `asked_max` of a rank: where all of those were active
// since, the least recently active of them is the one, which is exact unless more than so many of a
// namespace's sessions were active between two evictions. A change of rank moves the session at
// once, so those whose connections are over are never looked for among the others.
#pragma once

#include <array>
#include <cstdint>

#include "engine/base/pairing_heap.h"
#include "engine/policy/namespaces.h"
#include "engine/session/links.h"
#include "engine/session/session.h"

namespace swnat {

class Activity {
  static constexpr std::uint32_t slot_mask = (1u << 17) - 1;  // SessionLinks::slot
  static_assert(max_slots - 1 <= slot_mask);

 public:
  static constexpr std::uint32_t asked_max = 1024;

  void add(LinkTable& links, SessionRef ref, std::uint32_t slot, Rank rank, Tick last_active) {
    links[ref].slot = slot & slot_mask;
    links[ref].rank = rank;
    enqueue(links, ref, queue_of(slot, rank), last_active);
  }

  void change_rank(LinkTable& links, SessionRef ref, Rank rank, Tick last_active) {
    const std::uint32_t slot = links[ref].slot;
    remove(links, ref);
    links[ref].rank = rank;
    enqueue(links, ref, queue_of(slot, rank), last_active);
  }

  void change_slot(LinkTable& links, SessionRef ref, std::uint32_t slot, Tick last_active) {
    const Rank rank = links[ref].rank;
    remove(links, ref);
    links[ref].slot = slot & slot_mask;
    enqueue(links, ref, queue_of(slot, rank), last_active);
  }

  void remove(LinkTable& links, SessionRef ref) {
    Queue& queue = queue_of(links[ref].slot, links[ref].rank);
    --queue.count;
    if (links[ref].is_in_heap) {
      queue.set_root(Heap::remove(links, queue.root(), ref, EarlierIn{links}));
    } else {
      Sorted::remove(links, queue.sorted, ref);
    }
  }

  // How many the namespace, or the forward, that has this slot has.
  std::uint32_t count(std::uint32_t slot) const {
    std::uint32_t count = 0;
    for (const Queue& queue : queues_[slot].of_rank) count += queue.count;
    return count;
  }

  // Its session in this shard that has to go first, or no_session. `records[ref]` has
  // the session's last_active.
  template <class Records>
  SessionRef first_to_go(LinkTable& links, const Records& records, std::uint32_t slot) {
    for (const Queue& queue : queues_[slot].of_rank) {
      const SessionRef ref = oldest(links, records, queue);
      if (ref != no_session) return ref;
    }
    return no_session;
  }

  // To be called for each session now and then: places are compared modulo 2^32, so none may stand
  // for a time too long ago.
  void keep_comparable(LinkTable& links, SessionRef ref, Tick last_active) {
    if (elapsed(links[ref].queued, last_active) > behind_max) move(links, ref, last_active);
  }

  void populate() { queues_.populate(); }

  static constexpr std::size_t bytes_per_slot() { return sizeof(Queues); }

 private:
  // Twelve days. No session is idle for longer than max_timeout, and no place is older than that
  // and this together.
  static constexpr std::int32_t behind_max = std::int32_t{1} << 30;
  static_assert(max_timeout.count() + behind_max < INT32_MAX / 10 * 9);

  using Sorted = List<&SessionLinks::activity>;
  using Heap = PairingHeap<&SessionLinks::activity, &SessionLinks::first_child>;

  // Zeroed memory is an empty one.
  struct alignas(16) Queue {
    ListEnds sorted;
    std::uint32_t root_plus_1;
    std::uint32_t count;

    SessionRef root() const { return root_plus_1 - 1; }
    void set_root(SessionRef root) { root_plus_1 = root + 1; }
  };

  struct EarlierIn {
    const LinkTable& links;

    bool operator()(SessionRef a, SessionRef b) const {
      return elapsed(links[a].queued, links[b].queued) > 0;
    }
  };

  // Those of one namespace.
  struct Queues {
    std::array<Queue, rank_count> of_rank;
  };

  Queue& queue_of(std::uint32_t slot, Rank rank) {
    return queues_[slot].of_rank[static_cast<std::size_t>(rank)];
  }

  // Changes the queue, if those asked belong elsewhere in it.
  template <class Records>
  SessionRef oldest(LinkTable& links, const Records& records, const Queue& queue) {
    SessionRef oldest_asked = no_session;
    for (std::uint32_t asked = 0; asked < asked_max; ++asked) {
      const SessionRef ref = first(links, queue);
      if (ref == no_session) return no_session;
      // The one that is asked next, here or when this one is gone.
      const SessionRef next =
          links[ref].is_in_heap ? queue.sorted.first() : links[ref].activity.next;
      if (next != no_session) records.prefetch(next);
      const Tick last_active = records[ref].last_active;
      if (elapsed(links[ref].queued, last_active) <= 0) return ref;
      move(links, ref, last_active);
      if (oldest_asked == no_session || EarlierIn{links}(ref, oldest_asked)) oldest_asked = ref;
    }
    return oldest_asked;
  }

  static SessionRef first(const LinkTable& links, const Queue& queue) {
    const SessionRef sorted = queue.sorted.first();
    const SessionRef root = queue.root();
    if (sorted == no_session || root == no_session) return sorted == no_session ? root : sorted;
    return EarlierIn{links}(root, sorted) ? root : sorted;
  }

  void move(LinkTable& links, SessionRef ref, Tick last_active) {
    Queue& queue = queue_of(links[ref].slot, links[ref].rank);
    remove(links, ref);
    enqueue(links, ref, queue, last_active);
  }

  // The queue is said by who knows it: slot and rank lie in one word, and who reads that right
  // after a part of it was written waits until all that was written before has reached the cache.
  void enqueue(LinkTable& links, SessionRef ref, Queue& queue, Tick last_active) {
    ++queue.count;
    links[ref].queued = last_active;
    const SessionRef last = queue.sorted.last();
    links[ref].is_in_heap = last != no_session && EarlierIn{links}(ref, last);
    if (links[ref].is_in_heap) {
      queue.set_root(Heap::insert(links, queue.root(), ref, EarlierIn{links}));
    } else {
      Sorted::append(links, queue.sorted, ref);
    }
  }

  ReservedArray<Queues> queues_{max_slots, Pages::small};
};

}  // namespace swnat
