// Which ports of one external address could be had, unit by unit: for port blocks (port_blocks.h),
// whose lock guards this.
//
// Theory of operation
//
// A port could be had, by protocol, if the policy has it and it is neither withheld nor a rule's
// nor rests alone. Whether it is in use only the port spaces know.
//
// Ports rest alone that were a rule's, or that were passed over, outside of any block's rest. They
// are kept unit by unit, and all of a unit rest for as long as the last of them.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "engine/base/list.h"
#include "engine/base/memory.h"
#include "engine/ports/block_units.h"
#include "engine/ports/port_space.h"
#include "swnat/policy.h"

namespace swnat {

// RFC 4787 REQ-3: low are 0 to 1023.
enum class PortClass : std::uint8_t { any, low, high };

class UnitPorts {
 public:
  // TCP's, UDP's and ICMP's port space; a protocol is a place here.
  using Spaces = std::array<PortSpace*, 3>;

  UnitPorts(const PortRanges& ranges, const Spaces& spaces);

  // What such an object reserves.
  static std::size_t memory_size();
  void populate();

  // Units that have a port which could be had.
  BlockUnits usable(std::size_t protocol, PortClass wanted) const;
  // Units that have low ports of the policy's.
  const BlockUnits& low() const { return low_; }

  void withheld_changed(std::size_t protocol, std::uint16_t port) {
    recount(protocol, port / UnitRun::unit_size);
  }
  void begin_rule(std::size_t protocol, std::uint16_t port);
  void end_rule(std::size_t protocol, std::uint16_t port);

  void begin_rest(std::size_t protocol, std::uint16_t port, Tick now);
  // Somebody has it, so it does not rest.
  void forget_rest(std::size_t protocol, std::uint16_t port) {
    if (parts_[protocol][port / UnitRun::unit_size].resting != 0) clear_rest(protocol, port);
  }
  // The unit whose ports have rested longest, if that is long enough.
  std::optional<std::uint32_t> rested(Tick now) const;
  // Its ports are free from now on, whatever the threads' clocks say.
  void end_rests(std::uint32_t unit);

  // The port that has rested longest of those in units that `may_be_had`; of the parity of `like`
  // if the unit has such a one.
  template <class MayBeHad>
  std::optional<std::uint16_t> longest_resting(std::size_t protocol, PortClass wanted,
                                               std::uint16_t like, MayBeHad&& may_be_had) const {
    for (std::uint32_t unit = by_time_.first(); unit != no_ref; unit = rests_[unit].link.next) {
      const PortClass own = unit < UnitRun::low_units ? PortClass::low : PortClass::high;
      if ((wanted != PortClass::any && wanted != own) || !may_be_had(unit)) continue;
      const std::uint64_t ports = parts_[protocol][unit].resting & ~withheld(protocol, unit);
      const std::uint64_t of_parity = ports & std::uint64_t{0x5555'5555'5555'5555} << (like & 1);
      if (ports != 0) return first_of(unit, of_parity != 0 ? of_parity : ports);
    }
    return {};
  }

 private:
  // Of a unit's ports of a protocol, a bit for each.
  struct Part {
    std::uint64_t ruled;
    std::uint64_t resting;  // alone
  };
  // Of a unit that has ports which rest alone.
  struct Rest {
    Tick since;  // the last of them
    Link link;
  };
  using ByTime = List<&Rest::link>;

  static std::uint64_t bit_of(std::uint16_t port) {
    return std::uint64_t{1} << port % UnitRun::unit_size;
  }
  // The first of some of a unit's ports.
  static std::uint16_t first_of(std::uint32_t unit, std::uint64_t ports) {
    return static_cast<std::uint16_t>(unit * UnitRun::unit_size +
                                      static_cast<std::uint32_t>(std::countr_zero(ports)));
  }
  std::uint64_t withheld(std::size_t protocol, std::uint32_t unit) const {
    return spaces_[protocol]->withheld_around(
        static_cast<std::uint16_t>(unit * UnitRun::unit_size));
  }
  void clear_rest(std::size_t protocol, std::uint16_t port);
  void recount(std::size_t protocol, std::uint32_t unit);

  const Spaces spaces_;
  ReservedArray<std::uint64_t> inside_{BlockUnits::count};  // of each unit the policy's ports
  BlockUnits low_;
  std::array<ReservedArray<Part>, 3> parts_;
  std::array<BlockUnits, 3> usable_;
  // Units that have ports which rest alone, and in the order in which they began.
  BlockUnits resting_;
  ReservedArray<Rest> rests_{BlockUnits::count};
  ListEnds by_time_;
};

}  // namespace swnat
