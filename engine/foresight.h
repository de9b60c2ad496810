// What would become of a packet, for one address family (swnat/outlook.h): the steps of passage.h
// and hairpin.h, each with its shard's lock, and none of what they do.
#pragma once

#include "engine/eviction.h"
#include "engine/hairpin.h"
#include "engine/shards.h"
#include "swnat/outlook.h"

namespace swnat {

// Any thread, with no shard's lock.
template <class Family>
class Foresight {
 public:
  // All must outlive this.
  Foresight(const Shards<Family>& shards, Eviction& eviction, Hairpin<Family>& hairpin)
      : shards_(shards), eviction_(eviction), hairpin_(hairpin) {}

  Outlook outlook(const Question& question, Tick now);

 private:
  // `meets_over` as in shard.h, `begun_by` as in establishment.h.
  OutboundOutlook outbound(const Parsed<Family>& parsed, NamespaceId id, bool& meets_over,
                           Tick now);
  InboundOutlook inbound(const Parsed<Family>& parsed, NamespaceId begun_by, bool& meets_over,
                         Tick now);
  Outlook hairpin(const Parsed<Family>& parsed, NamespaceId id, bool& meets_over, Tick now);
  Outlook to_external(const Parsed<Family>& parsed, NamespaceId id, bool& meets_over, Tick now);
  Outlook send(const Parsed<Family>& parsed, NamespaceId id, bool is_for_gateway, bool& meets_over,
               Tick now);

  const Shards<Family>& shards_;
  Eviction& eviction_;
  Hairpin<Family>& hairpin_;
};

extern template class Foresight<Ipv4>;
extern template class Foresight<Ipv6>;

}  // namespace swnat
