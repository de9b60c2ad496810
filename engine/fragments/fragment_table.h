// What was done with the first fragment of a datagram, for the fragments that follow it.
//
// Theory of operation
//
// Only the first fragment has the ports that name its session. Its fate is remembered under what
// all fragments of the datagram have in common, and they share it: the same addresses, the same
// identification, the same drop. An entry lives for a fixed time after the last fragment that asked
// for it. No bytes of packets are kept.
//
// An entry is found through the hash index. Its age and whose it is are kept in Shares, one for
// datagrams from outside and one for those of the namespaces: the two sides have rooms of their own
// and cost each other nothing. Within a side:
//  - each new entry first frees the side's oldest one if its time is over;
//  - a namespace that still has its full share loses its own oldest entry;
//  - if the side is still full, the namespace that has most loses its oldest, and the newcomer its
//    own if none has more.
// So a flood of fragments costs the datagrams of whoever sends it. Fragments mostly follow one
// another within milliseconds, which is why the oldest entry is the one that is least missed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/memory.h"
#include "engine/base/shares.h"
#include "engine/base/tick.h"
#include "swnat/packet.h"
#include "swnat/reason.h"

namespace swnat {

// What all fragments of a datagram have in common, as they come (RFC 791, RFC 8200). For IPv6 the
// protocol is 0: later fragments may say what they like there (RFC 8200 section 4.5).
template <class Family>
struct DatagramKey {
  using Address = typename Family::Address;
  static_assert(std::has_unique_object_representations_v<Address>);

  NamespaceId namespace_id = 0;  // the sender's; 0: from outside
  Address source{};
  Address destination{};
  std::uint32_t identification = 0;
  std::uint8_t protocol = 0;

  std::uint64_t hash(const Secret& secret) const {
    std::array<std::uint64_t, sizeof(Address) / 4> addresses;
    static_assert(sizeof addresses == 2 * sizeof(Address));
    std::memcpy(addresses.data(), &source, sizeof source);
    std::memcpy(reinterpret_cast<char*>(addresses.data()) + sizeof source, &destination,
                sizeof destination);
    const std::uint64_t numbers = std::uint64_t{namespace_id} << 32 | identification;
    std::uint64_t hash = fold_multiply(numbers ^ secret[0], protocol ^ secret[1]);
    for (const std::uint64_t word : addresses) {
      hash = fold_multiply(hash ^ word ^ secret[2], secret[3] | 1);
    }
    return hash;
  }

  friend bool operator==(const DatagramKey&, const DatagramKey&) = default;
};

template <class Family>
struct DatagramFate {
  Reason reason = Reason::fragment_waits;  // the first fragment's, which tells the verdict
  // If it was translated: what it left with.
  typename Family::Address source{};
  typename Family::Address destination{};
  std::uint32_t identification = 0;
  NamespaceId receiver = 0;  // as Packet::namespace_id
  // Of the first fragment as it came. A first fragment with others belongs to another datagram,
  // because the sender's identifications came round, or overlaps this one.
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  // How far the first fragment's headers reach into the fragmented part; no later one may begin
  // before. An IPv6 header there may name any protocol in the later ones.
  std::uint16_t headers_end = 0;
};

// How long fragments may be apart. A receiver gives up IPv4 fragments after 15 seconds or more (RFC
// 791 section 3.2, RFC 1122 section 3.3.2), and more would do harm: a fast sender's 16-bit
// identifications come round within seconds, and then name other datagrams. For IPv6 it waits 60
// seconds (RFC 8200 section 4.5), and 32 bits do not come round meanwhile.
inline constexpr Tick ipv4_datagram_lifetime = 15'000;
inline constexpr Tick ipv6_datagram_lifetime = 60'000;

// Each at least 1. Memory is touched as it is used, about 100 bytes for each IPv4 datagram.
struct FragmentLimits {
  std::uint32_t outside = 16'384;       // datagrams from outside
  std::uint32_t namespaces = 65'536;    // datagrams of all namespaces together
  std::uint32_t per_namespace = 1'024;  // datagrams of one namespace
  Tick lifetime = ipv4_datagram_lifetime;
};

// Of one of so many tables, which are the engine's together.
template <class Family>
FragmentLimits fragment_limits(std::uint32_t tables) {
  const FragmentLimits all;
  const auto share = [tables](std::uint32_t limit) { return std::max(limit / tables, 64u); };
  return {.outside = share(all.outside),
          .namespaces = share(all.namespaces),
          .per_namespace = share(all.per_namespace),
          .lifetime = Family::version == 4 ? ipv4_datagram_lifetime : ipv6_datagram_lifetime};
}

// Not thread-safe. Every call takes constant time, and nothing is allocated after construction.
template <class Family>
class FragmentTable {
 public:
  using Key = DatagramKey<Family>;
  using Fate = DatagramFate<Family>;

  // The secret keeps senders from aiming datagrams at one place.
  FragmentTable(const FragmentLimits& limits, const Secret& secret)
      : lifetime_(limits.lifetime),
        secret_(secret),
        entries_(capacity(limits), Pages::small),
        index_(capacity(limits)),
        outside_(capacity(limits), {limits.outside, limits.outside}),
        namespaces_(capacity(limits), {limits.namespaces, limits.per_namespace}) {}

  void populate() {
    entries_.populate();
    index_.populate();
    outside_.populate();
    namespaces_.populate();
  }

  // What a table with these limits reserves.
  static std::size_t memory_size(const FragmentLimits& limits) {
    const std::uint32_t items = capacity(limits);
    return items * sizeof(Entry) + Index::lines_for(items) * 64 +
           Shares::memory_size(items, {limits.outside, limits.outside}) +
           Shares::memory_size(items, {limits.namespaces, limits.per_namespace});
  }

  // The fate of the datagram, whose time begins anew, or nullptr if there is none or its time was
  // over. Valid until the next call.
  const Fate* find(const Key& key, Tick now) {
    const Place place = place_of(key, key.hash(secret_));
    if (place == nowhere) return nullptr;
    if (is_over(entries_[place], now)) {
      forget(place);
      return nullptr;
    }
    renew(place, now);
    return &entries_[place].fate;
  }

  // Instead of what was known of that datagram, if anything was.
  void remember(const Key& key, const Fate& fate, Tick now) {
    const std::uint64_t hash = key.hash(secret_);
    Place place = place_of(key, hash);
    if (place == nowhere) {
      place = make_room(key, now);
      entries_[place] = {.key = key, .fate = fate, .last_asked = now};
      index_.insert(hash, place);
      side(key).add(place, key.namespace_id);
      return;
    }
    entries_[place].fate = fate;
    entries_[place].last_asked = now;
    side(key).renew(place);
  }

  // Frees entries whose time is over, at most `budget` of them, and returns how many. No other call
  // needs it to be right, except that ticks come round: call it at least once in 40 days.
  std::uint32_t expire(Tick now, std::uint32_t budget) {
    std::uint32_t freed = 0;
    for (const Shares* shares : {&outside_, &namespaces_}) {
      while (freed < budget && has_expired(*shares, now)) {
        forget(shares->oldest());
        ++freed;
      }
    }
    return freed;
  }

  // Entries, also those whose time is over, if nothing has freed them yet.
  std::uint32_t count() const { return outside_.count() + namespaces_.count(); }

 private:
  using Place = Shares::Item;
  static constexpr Place nowhere = Shares::none;

  struct Entry {
    Key key;
    Fate fate;
    Tick last_asked = 0;
    Place next_free = nowhere;
  };

  static std::uint32_t capacity(const FragmentLimits& limits) {
    return limits.outside + limits.namespaces;
  }

  Shares& side(const Key& key) { return key.namespace_id == 0 ? outside_ : namespaces_; }

  Place place_of(const Key& key, std::uint64_t hash) const {
    return index_.find(hash, [&](Place place) { return entries_[place].key == key; });
  }

  // A caller's clock may be a little behind another's, so an entry may be from later on; from much
  // later it is from before the ticks came round.
  bool is_over(const Entry& entry, Tick now) const {
    return now - entry.last_asked + lifetime_ >= 2 * lifetime_;
  }
  bool has_expired(const Shares& shares, Tick now) const {
    return shares.oldest() != nowhere && is_over(entries_[shares.oldest()], now);
  }

  void renew(Place place, Tick now) {
    Entry& entry = entries_[place];
    if (elapsed(entry.last_asked, now) > 0) entry.last_asked = now;
    side(entry.key).renew(place);
  }

  // Both sides' limits together are the number of entries, so a side within its own finds one.
  Place make_room(const Key& key, Tick now) {
    Shares& shares = side(key);
    if (has_expired(shares, now)) forget(shares.oldest());
    if (const Place displaced = shares.displaced_by(key.namespace_id); displaced != nowhere) {
      forget(displaced);
    }
    if (first_free_ == nowhere) return used_++;
    const Place place = first_free_;
    first_free_ = entries_[place].next_free;
    return place;
  }

  void forget(Place place) {
    Entry& entry = entries_[place];
    index_.erase(entry.key.hash(secret_), place);
    side(entry.key).remove(place);
    entry.next_free = first_free_;
    first_free_ = place;
  }

  Tick lifetime_;
  Secret secret_;
  ReservedArray<Entry> entries_;
  Index index_;  // of entries by key
  Shares outside_;
  Shares namespaces_;
  Place first_free_ = nowhere;
  std::uint32_t used_ = 0;  // entries at or beyond this place were never used
};

}  // namespace swnat
