// Datagrams in fragments, and the identifications that datagrams leave with.
//
// Theory of operation
//
// The first fragment has the ports, so it is translated like a whole packet, and what became of it
// is remembered for those that follow, which leave in the same way. One that comes before it is
// held by the caller and given again. What leaves a namespace gets an identification of the NAT's
// own (identification.h), which all fragments of a datagram share.
//
// Any thread may call any function at any time. The tables have a lock each; as they are chosen by
// the bits of the identification that queues are steered by, a worker mostly meets its own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/lock.h"
#include "engine/fragments/fragment_table.h"
#include "engine/fragments/identification.h"
#include "engine/wire/parse.h"
#include "engine/wire/rewrite.h"
#include "swnat/packet.h"

namespace swnat {

template <class Family>
class Datagrams {
 public:
  // `tables`: a power of two, or 0 where no packet comes.
  Datagrams(std::uint32_t tables, const Secret& secret, Identifications& identifications);

  void populate();

  // Names the datagram of a fragment, before anything in it is changed.
  DatagramKey<Family> name(const Parsed<Family>& parsed, Packet& packet) const;

  // A first fragment, as it came (`key`, `parsed`) and as it leaves with this reason; a copy leaves
  // with the identification of the one before.
  void remember(const DatagramKey<Family>& key, const Parsed<Family>& parsed, Packet& packet,
                Reason reason, Tick now);

  // Translates a fragment that is not the first.
  Reason follow(const Parsed<Family>& parsed, Packet& packet, Tick now);

  // A datagram in one piece, which a router may still cut (RFC 6864 section 4.1), leaves a
  // namespace. A whole IPv6 packet has no identification.
  void renumber(Packet& packet) {
    if constexpr (Family::version == 4) {
      std::uint8_t* ip = packet.bytes.data();
      if ((load_be16(ip + 6) & ipv4_dont_fragment) != 0) return;
      write_identification<Family>(ip, ipv4_identification_offset, new_identification(packet));
    }
  }

  // Forgets what is over, in the table of that number, of at most `budget` datagrams.
  void expire(std::uint32_t table, Tick now, std::uint32_t budget);

 private:
  struct alignas(64) Part {
    Part(const FragmentLimits& limits, const Secret& secret) : table(limits, secret) {}

    Mutex mutex;
    FragmentTable<Family> table SWNAT_GUARDED_BY(mutex);
  };

  Part& part_of(const Parsed<Family>& parsed) {
    return *parts_[parsed.piece.identification >> 1 & (parts_.size() - 1)];
  }
  std::uint32_t new_identification(const Packet& packet);

  Secret secret_;
  Identifications& identifications_;
  std::vector<std::unique_ptr<Part>> parts_;
};

// The end of the way of a packet in one piece: what becomes of it, and if it leaves a namespace, by
// which number.
template <class Family>
inline void finish_whole(Datagrams<Family>& datagrams, Packet& packet, Reason reason) {
  const bool leaves = reason == Reason::translated_outbound || reason == Reason::translated_hairpin;
  if (leaves) datagrams.renumber(packet);
  packet.datagram = 0;
  packet.reason = reason;
}

extern template class Datagrams<Ipv4>;
extern template class Datagrams<Ipv6>;

}  // namespace swnat
