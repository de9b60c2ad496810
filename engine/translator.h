// The packet's life, for one address family: over the shards, the fragments, and the two halves of
// a hairpin.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/eviction.h"
#include "engine/foresight.h"
#include "engine/fragments/datagrams.h"
#include "engine/hairpin.h"
#include "engine/passage.h"
#include "engine/places.h"
#include "engine/policy_change.h"
#include "engine/ports/externals.h"
#include "engine/shards.h"
#include "swnat/engine.h"
#include "swnat/engine_options.h"
#include "swnat/usage.h"

namespace swnat {

template <class Family>
class Translator {
 public:
  // Adds its shards to `eviction`. What is given by reference must outlive this.
  Translator(const EngineOptions& options, std::uint32_t capacity, std::span<std::byte> memory,
             std::shared_ptr<const Snapshot> snapshot, NamespaceUses& uses,
             Identifications& identifications, SharedEventOutlet& block_events, Eviction& eviction);

  // All memory but the sessions'.
  void populate();

  // Takes over the sessions that the memory holds. `is_recent`: whether their ticks say anything.
  void adopt(Tick now, bool is_recent);

  // Gives the packets at these places their reason, but those of another IP version, whose places
  // are returned.
  Places translate(std::span<Packet> packets, Places places, Tick now);
  // As Engine has it, of an endpoint of this family.
  Engine::Kept keep_session(const SessionName& name, Tick now);
  // Gives a packet this reason; nothing else is done with it.
  void finish(Packet& packet, Reason reason);

  void withhold(std::uint8_t protocol, std::uint16_t port, bool is_withheld) {
    externals_.withhold(protocol, port, is_withheld);
  }

  // As Engine has it, of the wish's family and namespace.
  std::optional<IpEndpoint> propose_external(const NamespaceEntry& tenant,
                                             const Engine::ForwardWish& wish, Tick now);

  // Of all external addresses, appended in their order.
  void append_port_blocks(std::vector<PortBlockView>& all) const;

  // Likewise.
  void append_ports(std::vector<PortUse>& all, Tick now) const;

  void set_snapshot(std::shared_ptr<const Snapshot> snapshot, Tick now);

  std::uint32_t expire(std::uint32_t shard, Tick now, std::uint32_t budget);
  std::span<const std::unique_ptr<Shard<Family>>> shards() const { return shards_.all(); }
  void add_counters(Counters& sum) const;
  Outlook outlook(const Question& question, Tick now) const {
    return foresight_.outlook(question, now);
  }

 private:
  void translate_alone(Packet& packet, Tick now);
  Reason translate_whole(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason translate_fragment(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason untranslatable(Reason fault, const Parsed<Family>& parsed, Packet& packet, Tick now);

  Externals<Family> externals_;
  Shards<Family> shards_;
  Datagrams<Family> datagrams_;
  Batch<Family> batch_;
  Passage<Family> passage_;
  Hairpin<Family> hairpin_;
  mutable Foresight<Family> foresight_;
  PolicyChange<Family> policy_change_;
  // Packets that took the slow way, by reason.
  std::array<std::atomic<std::uint64_t>, reason_count> counters_{};
};

}  // namespace swnat
