// Many packets at once: those of established sessions in three passes, so that the cache lines of
// the index and then of the records arrive side by side; so do those that new sessions need.
#pragma once

#include <span>

#include "engine/fragments/datagrams.h"
#include "engine/places.h"
#include "engine/shards.h"
#include "swnat/packet.h"

namespace swnat {

// Any thread, with no shard's lock.
template <class Family>
class Batch {
 public:
  // Both must outlive this.
  Batch(const Shards<Family>& shards, Datagrams<Family>& datagrams, const Secret& secret)
      : shards_(shards), datagrams_(datagrams), secret_(secret) {}

  // Translates common packets (common_packet.h) at these places, up to the first that is not
  // common: that one may belong to the session of one before or behind it. Takes the places that it
  // has seen out of `unseen`, and returns those of packets that are left to be translated one by
  // one, in their order; those of another IP version are added to `of_others`.
  Places translate(std::span<Packet> packets, Places& unseen, Places& of_others, Tick now);

 private:
  // This and finish() are forced inline: calls of them are a tenth of an established packet's
  // instructions.
  [[gnu::always_inline]] void begin_lookup(Packet& packet, int place, Lookup& lookup) const;
  static std::size_t take_group(std::span<Lookup> waiting, Lookup* group);
  Places translate_group(std::span<Lookup> group, int end, Tick now);
  std::span<Lookup> translate_established(Shard<Family>& own, std::span<Lookup> lookups, Tick now)
      SWNAT_REQUIRES(own.mutex);
  std::span<Lookup> translate_missed(Shard<Family>& own, std::span<Lookup> lookups, int end,
                                     Tick now) SWNAT_REQUIRES(own.mutex);
  [[gnu::always_inline]] void finish(Shard<Family>& own, Packet& packet, Reason reason)
      SWNAT_REQUIRES(own.mutex);

  const Shards<Family>& shards_;
  Datagrams<Family>& datagrams_;
  Secret secret_;
};

extern template class Batch<Ipv4>;
extern template class Batch<Ipv6>;

}  // namespace swnat
