#include "engine/ports/unit_ports.h"

#include <tuple>
#include <utility>

namespace swnat {

UnitPorts::UnitPorts(const PortRanges& ranges, const Spaces& spaces)
    : spaces_(spaces),
      parts_{ReservedArray<Part>(BlockUnits::count), ReservedArray<Part>(BlockUnits::count),
             ReservedArray<Part>(BlockUnits::count)} {
  for (const PortRange& range : ranges.ranges()) {
    for (std::uint32_t port = range.first; port <= range.last; ++port) {
      inside_[port / UnitRun::unit_size] |= bit_of(static_cast<std::uint16_t>(port));
    }
  }
  for (std::uint32_t unit = 0; unit < BlockUnits::count; ++unit) {
    if (unit < UnitRun::low_units && inside_[unit] != 0) low_.add({unit, 1});
    for (std::size_t protocol = 0; protocol < spaces_.size(); ++protocol) recount(protocol, unit);
  }
}

std::size_t UnitPorts::memory_size() {
  return BlockUnits::count *
         (sizeof(std::uint64_t) + std::tuple_size_v<Spaces> * sizeof(Part) + sizeof(Rest));
}

void UnitPorts::populate() {
  for (auto& part : parts_) part.populate();
  rests_.populate();
}

BlockUnits UnitPorts::usable(std::size_t protocol, PortClass wanted) const {
  BlockUnits units = usable_[protocol];
  if (wanted == PortClass::high) units.remove(UnitRun{0, UnitRun::low_units});
  return wanted == PortClass::low ? units.common_with(low_) : units;
}

void UnitPorts::begin_rule(std::size_t protocol, std::uint16_t port) {
  Part& part = parts_[protocol][port / UnitRun::unit_size];
  part.resting &= ~bit_of(port);
  part.ruled |= bit_of(port);
  recount(protocol, port / UnitRun::unit_size);
}

void UnitPorts::end_rule(std::size_t protocol, std::uint16_t port) {
  parts_[protocol][port / UnitRun::unit_size].ruled &= ~bit_of(port);
  recount(protocol, port / UnitRun::unit_size);
}

void UnitPorts::begin_rest(std::size_t protocol, std::uint16_t port, Tick now) {
  const std::uint32_t unit = port / UnitRun::unit_size;
  parts_[protocol][unit].resting |= bit_of(port) & inside_[unit];
  recount(protocol, unit);
  if (resting_.has_any({unit, 1})) ByTime::remove(rests_, by_time_, unit);
  resting_.add({unit, 1});
  rests_[unit].since = now;
  ByTime::append(rests_, by_time_, unit);
}

void UnitPorts::clear_rest(std::size_t protocol, std::uint16_t port) {
  parts_[protocol][port / UnitRun::unit_size].resting &= ~bit_of(port);
  recount(protocol, port / UnitRun::unit_size);
}

std::optional<std::uint32_t> UnitPorts::rested(Tick now) const {
  const std::uint32_t unit = by_time_.first();
  if (unit == no_ref || !has_rested(rests_[unit].since, now)) return {};
  return unit;
}

void UnitPorts::end_rests(std::uint32_t unit) {
  ByTime::remove(rests_, by_time_, unit);
  resting_.remove(UnitRun{unit, 1});
  for (std::size_t protocol = 0; protocol < spaces_.size(); ++protocol) {
    std::uint64_t ports = std::exchange(parts_[protocol][unit].resting, 0);
    for (; ports != 0; ports &= ports - 1) spaces_[protocol]->end_rest(first_of(unit, ports));
    recount(protocol, unit);
  }
}

void UnitPorts::recount(std::size_t protocol, std::uint32_t unit) {
  const auto [ruled, resting] = parts_[protocol][unit];
  if ((inside_[unit] & ~(ruled | resting | withheld(protocol, unit))) != 0) {
    usable_[protocol].add({unit, 1});
  } else {
    usable_[protocol].remove(UnitRun{unit, 1});
  }
}

}  // namespace swnat
