// One packet's way out or in, that of a whole packet or of an ICMP error: it meets the shard of its
// session, and makes room for that where there is none.
#pragma once

#include "engine/eviction.h"
#include "engine/shards.h"
#include "engine/wire/icmp_error.h"
#include "engine/wire/parse.h"
#include "swnat/packet.h"

namespace swnat {

// Any thread, with no shard's lock. They translate the packet and return what became of it.
template <class Family>
class Passage {
 public:
  using End = Endpoint<typename Family::Address>;

  // Both must outlive this.
  Passage(const Shards<Family>& shards, Eviction& eviction)
      : shards_(shards), eviction_(eviction) {}

  Reason outbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason inbound(const Parsed<Family>& parsed, Packet& packet, Tick now);
  // As outbound(), but the packet is not sent (Shard::keep).
  Reason keep(const Parsed<Family>& parsed, Packet& packet, End& external, Tick now);
  Reason icmp_error(const Parsed<Family>& parsed, Packet& error, Tick now);

 private:
  Reason pass_out(const Parsed<Family>& parsed, Packet& packet, End* kept, Tick now);
  Reason error_about_sent(NamespaceId sender, const Parsed<Family>& parsed,
                          const Quoted<Family>& quoted, Packet& error, Tick now);

  const Shards<Family>& shards_;
  Eviction& eviction_;
};

extern template class Passage<Ipv4>;
extern template class Passage<Ipv6>;

}  // namespace swnat
