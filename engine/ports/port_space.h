// The external ports of one external address and one protocol, for all shards together.
//
// Theory of operation
//
// A port's bits from bit 1 up name its shard (see shard_of_port), and a shard hands out its own, so
// that both legs of a session meet there. A shard whose own are used up borrows another's, and a
// port may be reserved for any shard; the owner table knows those, and only those are written
// there. A port that is released is again one of the shard that its bits name.
//
// There may be gaps between the ports. The places of a set go on through them, without ever being
// free, and random places are drawn from the others.
//
// A port may be withheld, because somebody else uses it on the address. If it is not taken it is
// parked: neither free nor taken, but whoever must have this very port still gets it. A taken one
// is parked once it is released.
//
// A shard's ports are four sets (port_set.h), by class and parity, under a lock of their own, with
// memory of their own. Only a borrower, or who gives back what it borrowed, meets another shard's:
// otherwise no lock is waited for and no cache line goes from one CPU to another. No thread holds
// two of these locks, and nothing else is locked under one, so shards call with their own locks
// held.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/lock.h"
#include "engine/base/memory.h"
#include "engine/base/tick.h"
#include "engine/ports/port_set.h"
#include "swnat/limits.h"
#include "swnat/policy.h"

namespace swnat {

// All functions: any thread.
class PortSpace {
 public:
  // Whether a released port rests for `port_rest` (RFC 6888 REQ-8). It need not where both ends are
  // known to be done with it.
  enum class Rest : std::uint8_t { none, full };

  // `shards` is a power of two, shards_max at most. ICMP identifiers have no classes. `displaced`
  // counts, for several port spaces together, the ports that are not with the shard that their bits
  // name; it must outlive this.
  PortSpace(const PortRanges& ranges, std::uint32_t shards, bool has_classes,
            std::atomic<std::uint32_t>* displaced = nullptr);

  void populate() {
    words_.populate();
    resting_.populate();
    owners_.populate();
  }

  // The shard that the sessions of an external port are in, whether it is in the ranges or not.
  // Takes no lock.
  std::uint32_t shard_of(std::uint16_t port) const;

  // A free port for `shard`, or nothing. Best of all `like` itself; else one of its parity
  // (RFC 4787 REQ-4), then any, then another shard's in the same order, found from a place that
  // `random` says. It is of the class of `like`, 0-1023 or 1024-65535 (REQ-3), unless the range has
  // no ports of that class at all.
  std::optional<std::uint16_t> take(std::uint32_t shard, std::uint16_t like, std::uint64_t random,
                                    Tick now);

  // As `take`, but of the ports of one block, which is as many as a power of two, 2 * shards at
  // least, and begins at a multiple of that; and not `like` itself first.
  std::optional<std::uint16_t> take_within(const PortRange& block, std::uint32_t shard,
                                           std::uint16_t like, std::uint64_t random, Tick now);

  // Whether `take_within` would find one for any shard.
  bool has_within(const PortRange& block, std::uint16_t like, Tick now);

  // `like` itself for `shard`, if it is free. False if not.
  bool take_itself(std::uint32_t shard, std::uint16_t like, Tick now) {
    return in_range(like) && take_like(shard, like, now);
  }

  // Whether that would be true.
  bool has_itself(std::uint16_t like, Tick now) const;

  // When `take` finds nothing: the port of the class that has rested longest, whosever it was, for
  // no port that only rests may keep anybody out. Looks at each shard's earliest, no more.
  std::optional<std::uint16_t> take_resting(std::uint32_t shard, std::uint16_t like, Tick now);

  // Whether one of these two would find one; what others do meanwhile may be missed.
  bool has_any(std::uint16_t like, Tick now) const;

  // This very port for `shard`, be it free or resting, but not withheld. False if not.
  bool take_resting_itself(std::uint32_t shard, std::uint16_t port);
  // It rests no longer, if it does.
  void end_rest(std::uint16_t port);

  // This very port for `shard`, of the ranges or not, be it free, resting or withheld. False if it
  // is taken, and for port 0.
  bool take_exactly(std::uint32_t shard, std::uint16_t port);

  // `shard` took it. A port outside the ranges is not handed out, so it does not rest either.
  void release(std::uint32_t shard, std::uint16_t port, Tick now, Rest rest);

  // Whether the port is not to be handed out from now on, or may be again.
  void withhold(std::uint16_t port, bool is_withheld);
  bool is_withheld(std::uint16_t port) const { return test(withheld_, port); }
  // Of the 64 ports around it a bit each.
  std::uint64_t withheld_around(std::uint16_t port) const {
    return withheld_[port / 64].load(std::memory_order_relaxed);
  }

  // The class, 0 or 1, that a port is of, and that of the ports that `like` gets one of.
  std::uint32_t class_of(std::uint16_t port) const { return port < second_class_ ? 0 : 1; }
  std::uint32_t class_for(std::uint16_t like) const {
    const std::uint32_t own = class_of(like);
    return classes_[own].size == 0 ? own ^ 1 : own;
  }

  // What has become of the ports that may be handed out. Each is counted once: a shard's together,
  // one shard after the other.
  struct Use {
    std::uint32_t used = 0;  // by mappings and rules
    std::uint32_t resting = 0;
    std::uint32_t withheld = 0;
    std::uint32_t free = 0;
  };
  Use use(Tick now) const;
  // Those of a stretch of ports that may be handed out, and are not withheld.
  std::uint32_t count_within(const PortRange& some) const;
  // Of the ports that may be handed out, resting ones not counted. One that has rested is counted
  // only after its shard looked for a port.
  std::uint32_t free_count() const;
  std::uint32_t free_count(std::uint32_t shard) const;

 private:
  // Which positions (see position_of) a class has in each shard and parity.
  struct Class {
    std::uint32_t first = 0;
    std::uint32_t size = 0;
  };
  struct alignas(64) Part {
    // Guards the rest too, but for what a set tells without it, and the owner and the bits of each
    // of the ports.
    Mutex mutex;
    std::uint32_t withheld SWNAT_GUARDED_BY(mutex) = 0;
    PortSet sets[2][2];  // by class, then parity
  };

  // A range's places within a class.
  struct Stretch {
    std::uint32_t first;
    std::uint32_t size;
  };
  using Bits = ReservedArray<std::atomic<std::uint64_t>>;

  std::uint32_t size_of(std::uint32_t shard) const;
  std::uint32_t parked_count(std::uint32_t shard) const;

  static bool test(const Bits& bits, std::uint16_t port) {
    return (bits[port / 64].load(std::memory_order_relaxed) >> port % 64 & 1) != 0;
  }
  static void set(Bits& bits, std::uint16_t port, bool value);

  std::uint16_t port_at(std::uint32_t number, std::uint32_t place, std::uint32_t shard,
                        std::uint32_t parity) const {
    return static_cast<std::uint16_t>((classes_[number].first + place) << position_shift_ |
                                      shard << 1 | parity);
  }

  Class class_between(std::uint32_t first, std::uint32_t end) const;
  PortRange part_of(const PortRange& range, std::uint32_t number) const;
  std::uint32_t start_of(std::uint32_t number, const Stretch& within, std::uint32_t random) const;
  bool unpark(std::uint16_t port);
  void make_parts();
  void release_all(std::uint32_t shard, std::uint32_t number, std::uint32_t parity);

  bool in_range(std::uint16_t port) const {
    return envelope_.contains(port) && (!has_gaps_ || ranges_.contains(port));
  }
  std::uint32_t home_of(std::uint16_t port) const { return shard_of_port(port, shards_); }
  std::uint32_t position_of(std::uint16_t port) const {
    return std::uint32_t{port} >> position_shift_;
  }
  std::uint32_t place_of(std::uint16_t port) const {
    return position_of(port) - classes_[class_of(port)].first;
  }
  PortSet& set_of(std::uint16_t port) const {
    return parts_[home_of(port)]->sets[class_of(port)][port & 1];
  }

  // What a port is looked for.
  struct Choice {
    std::uint32_t number;  // of the class
    std::uint32_t parity;
    std::uint32_t random;
    Tick now;
  };

  Stretch stretch_within(const PortRange& block, std::uint32_t number) const;
  bool take_like(std::uint32_t shard, std::uint16_t like, Tick now);
  template <class TakeFrom>
  std::optional<std::uint16_t> take_near(std::uint32_t shard, std::uint64_t random, Choice choice,
                                         TakeFrom take_from) const;
  std::optional<std::uint16_t> take_from(std::uint32_t lender, std::uint32_t shard,
                                         const Choice& choice);
  std::optional<std::uint16_t> take_from(std::uint32_t lender, std::uint32_t shard,
                                         const Choice& choice, const Stretch& within);
  void set_owner(std::uint16_t port, std::uint32_t shard);
  void begin_displacement();
  void end_displacement();

  PortRanges ranges_;
  PortRange envelope_;
  bool has_gaps_;
  std::uint32_t shards_;
  std::uint32_t position_shift_;
  std::uint32_t second_class_;  // the first port of it
  Class classes_[2];
  std::vector<Stretch> stretches_[2];  // of each class, where there are gaps
  ReservedArray<std::uint64_t> words_;
  ReservedArray<RestingPort> resting_;
  std::vector<std::unique_ptr<Part>> parts_;  // by shard
  Bits withheld_;
  Bits parked_;
  // By port: 0 where its bits say the shard, else the shard plus 1. A port outside the ranges is
  // taken while it is not 0.
  ReservedArray<std::atomic<std::uint8_t>> owners_;
  std::atomic<std::uint32_t>* displaced_;
};

}  // namespace swnat
