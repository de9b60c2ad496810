// The packet's life, for one address family: over the shards, the fragments, and the two halves of
// a hairpin.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/fragments/datagrams.h"
#include "engine/ports/externals.h"
#include "engine/shard.h"
#include "swnat/engine_options.h"
#include "swnat/usage.h"

namespace swnat {

// Packets of a batch by their place in it.
using Places = std::uint32_t;
static_assert(batch_max <= std::numeric_limits<Places>::digits);

template <class Each>
void for_each(Places places, Each each) {
  for (; places != 0; places &= places - 1)
    each(static_cast<std::size_t>(std::countr_zero(places)));
}

template <class Family>
class Translator {
 public:
  // `make_room` ends the session that is wanted, wherever it is, if there is one.
  Translator(const EngineOptions& options, std::uint32_t capacity, std::span<std::byte> memory,
             std::shared_ptr<const Snapshot> snapshot, NamespaceUses& uses,
             Identifications& identifications, SharedEventOutlet& block_events,
             std::function<bool(RoomWanted, Tick now)> make_room);

  // All memory but the sessions'.
  void populate();

  // Takes over the sessions that the memory holds. `is_recent`: whether their ticks say anything.
  void adopt(Tick now, bool is_recent);

  // Gives the packets at these places their reason, but those of another IP version, whose places
  // are returned.
  Places translate(std::span<Packet> packets, Places places, Tick now);

  void withhold(std::uint8_t protocol, std::uint16_t port, bool is_withheld) {
    externals_.withhold(protocol, port, is_withheld);
  }

  // Of all external addresses, appended in their order.
  void append_port_blocks(std::vector<PortBlockView>& all) const;

  void set_snapshot(std::shared_ptr<const Snapshot> snapshot, Tick now);

  std::uint32_t expire(std::uint32_t shard, Tick now, std::uint32_t budget);
  std::span<const std::unique_ptr<Shard<Family>>> shards() const { return shards_; }
  void add_counters(Counters& sum) const;

 private:
  Shard<Family>& shard(std::uint32_t number) { return *shards_[number]; }
  std::uint32_t shard_count() const { return shard_count_; }
  std::uint32_t shard_of(const Leg<Family>& leg, std::uint8_t protocol, bool is_inbound) const;
  void begin_lookup(Packet& packet, int place, Lookup& lookup) const;
  static std::size_t take_group(std::span<Lookup> waiting, Lookup* group);
  Places translate_group(std::span<Lookup> group, int end, Tick now);
  void translate_alone(Packet& packet, Tick now);
  Reason untranslatable(Reason fault, const Parsed<Family>& parsed, Packet& packet, Tick now);
  std::span<Lookup> translate_established(Shard<Family>& own, std::span<Lookup> lookups, Tick now)
      SWNAT_REQUIRES(own.mutex);
  std::span<Lookup> translate_missed(Shard<Family>& own, std::span<Lookup> lookups, int end,
                                     Tick now) SWNAT_REQUIRES(own.mutex);
  Reason translate_one(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason translate_whole(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason outbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason inbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason hairpin(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason hairpin_to_external(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason send_hairpin(const Parsed<Family>& parsed, Packet& packet, bool is_for_gateway, Tick now);
  Reason receive_hairpin(Packet& packet, Tick now);
  bool has_owner(const Parsed<Family>& parsed, Tick now);
  Reason hairpin_error(const Parsed<Family>& parsed, Packet& error, Tick now);
  Reason icmp_error(const Parsed<Family>& parsed, Packet& error, Tick now);
  Reason error_about_sent(NamespaceId sender, const Parsed<Family>& parsed,
                          const Quoted<Family>& quoted, Packet& error, Tick now);
  Reason first_fragment(const Parsed<Family>& parsed, Packet& packet, Tick now);
  void finish(Packet& packet, Reason reason);
  void end_unfit(Tick now);
  void change_forwards(const Policy& before, const Policy& after, Tick now);

  Secret secret_;
  std::uint32_t shard_count_;
  Externals<Family> externals_;
  std::vector<std::unique_ptr<Shard<Family>>> shards_;
  std::shared_ptr<const Snapshot> snapshot_;  // whose forwards have their ports
  std::atomic<bool> hairpin_;
  Datagrams<Family> datagrams_;
  std::function<bool(RoomWanted, Tick now)> make_room_;
  // Packets that took the slow way, by reason.
  std::array<std::atomic<std::uint64_t>, reason_count> other_counters_{};
};

}  // namespace swnat
