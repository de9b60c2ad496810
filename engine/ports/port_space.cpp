#include "engine/ports/port_space.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace swnat {
namespace {

constexpr std::uint32_t port_count = 65'536;
constexpr std::uint32_t first_of_second_class = 1024;

static_assert(shards_max < 255, "an owner, one higher, is a byte");
static_assert(first_of_second_class % (2 * shards_max) == 0, "classes part between positions");

// Whole cache lines, so that no two sets share one.
template <class Element>
constexpr std::size_t in_lines(std::size_t count) {
  constexpr std::size_t per_line = 64 / sizeof(Element);
  return (count + per_line - 1) / per_line * per_line;
}

}  // namespace

PortSpace::PortSpace(const PortRanges& ranges, std::uint32_t shards, bool has_classes,
                     std::atomic<std::uint32_t>* displaced)
    : ranges_(ranges),
      envelope_(ranges.envelope()),
      has_gaps_(ranges.has_gaps()),
      shards_(shards),
      position_shift_(1 + static_cast<std::uint32_t>(std::countr_zero(shards))),
      second_class_(has_classes ? first_of_second_class : port_count),
      classes_{class_between(0, second_class_), class_between(second_class_, port_count)},
      words_(2 * shards *
             (in_lines<std::uint64_t>(PortSet::words_for(classes_[0].size)) +
              in_lines<std::uint64_t>(PortSet::words_for(classes_[1].size)))),
      resting_(2 * shards *
               (in_lines<RestingPort>(classes_[0].size) + in_lines<RestingPort>(classes_[1].size))),
      withheld_(port_count / 64),
      parked_(port_count / 64),
      owners_(port_count),
      displaced_(displaced) {
  assert(std::has_single_bit(shards) && shards <= shards_max);
  assert(ranges.is_valid());
  make_parts();
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    for (std::uint32_t number = 0; number < 2; ++number) {
      for (std::uint32_t parity = 0; parity < 2; ++parity) release_all(shard, number, parity);
    }
  }
  for (std::uint32_t number = 0; number < 2 && has_gaps_; ++number) {
    for (const PortRange& range : ranges_.ranges()) {
      const PortRange part = part_of(range, number);
      if (part.first > part.last) continue;
      const std::uint32_t first = place_of(part.first);
      stretches_[number].push_back({first, place_of(part.last) - first + 1});
    }
  }
}

// The ports of a range that are of a class; none if the first is above the last.
PortRange PortSpace::part_of(const PortRange& range, std::uint32_t number) const {
  const std::uint32_t first = number == 0 ? 1 : second_class_;
  const std::uint32_t last = number == 0 ? second_class_ - 1 : port_count - 1;
  if (range.first > last || range.last < first) return {1, 0};
  return {static_cast<std::uint16_t>(std::max<std::uint32_t>(range.first, first)),
          static_cast<std::uint16_t>(std::min<std::uint32_t>(range.last, last))};
}

// Only the first and last places of a range may stand for ports that are not of it.
void PortSpace::release_all(std::uint32_t shard, std::uint32_t number, std::uint32_t parity) {
  const std::uint32_t offset = classes_[number].first;
  for (const PortRange& range : ranges_.ranges()) {
    const PortRange part = part_of(range, number);
    if (part.first > part.last) continue;
    const auto stands_for_none = [&](std::uint32_t place) {
      const std::uint32_t port = (offset + place) << position_shift_ | shard << 1 | parity;
      return port < part.first || port > part.last;
    };
    std::uint32_t begin = place_of(part.first);
    std::uint32_t end = place_of(part.last) + 1;
    if (stands_for_none(begin)) ++begin;
    if (begin < end && stands_for_none(end - 1)) --end;
    parts_[shard]->sets[number][parity].release_all(begin, end);
  }
}

// Of the ports from `first` up to, but not including, `end`.
PortSpace::Class PortSpace::class_between(std::uint32_t first, std::uint32_t end) const {
  std::uint32_t lowest = end;
  std::uint32_t highest = 0;
  for (const PortRange& range : ranges_.ranges()) {
    if (range.first >= end || range.last < first) continue;
    lowest = std::min(lowest, std::max<std::uint32_t>(range.first, first));
    highest = std::min<std::uint32_t>(range.last, end - 1);
  }
  if (lowest == end) return {};
  const std::uint32_t position = lowest >> position_shift_;
  return {position, (highest >> position_shift_) - position + 1};
}

// A place from which to look for a free port. What lies in a gap would make the port behind the gap
// easy to guess.
inline std::uint32_t PortSpace::start_of(std::uint32_t number, const Stretch& within,
                                         std::uint32_t random) const {
  const auto below = [random](std::uint32_t end) {
    return static_cast<std::uint32_t>(std::uint64_t{random} * end >> 32);
  };
  if (!has_gaps_) return within.first + below(within.size);
  const auto part_of = [&](const Stretch& one) {
    const std::uint32_t first = std::max(one.first, within.first);
    const std::uint32_t end = std::min(one.first + one.size, within.first + within.size);
    return first < end ? Stretch{first, end - first} : Stretch{first, 0};
  };
  const std::vector<Stretch>& stretches = stretches_[number];
  std::uint32_t total = 0;
  for (const Stretch& one : stretches) total += part_of(one).size;
  std::uint32_t place = below(total);
  for (const Stretch& one : stretches) {
    const Stretch part = part_of(one);
    if (place < part.size) return part.first + place;
    place -= part.size;
  }
  return within.first;
}

void PortSpace::make_parts() {
  std::size_t words = 0;
  std::size_t ports = 0;
  const auto make = [&](const Class& own) {
    const std::uint32_t word_count = PortSet::words_for(own.size);
    const std::span set_words{words_.data() + words, word_count};
    const std::span set_ports{resting_.data() + ports, own.size};
    words += in_lines<std::uint64_t>(word_count);
    ports += in_lines<RestingPort>(own.size);
    return PortSet(own.size, set_words, set_ports);
  };
  for (std::uint32_t shard = 0; shard < shards_; ++shard) {
    parts_.push_back(std::unique_ptr<Part>(new Part{
        {}, 0, {{make(classes_[0]), make(classes_[0])}, {make(classes_[1]), make(classes_[1])}}}));
  }
  assert(words == words_.size() && ports == resting_.size());
}

std::uint32_t PortSpace::shard_of(std::uint16_t port) const {
  // Whoever reads an older owner finds no session of the port there, as one moment earlier.
  const std::uint32_t owner_plus_1 = owners_[port].load(std::memory_order_relaxed);
  return owner_plus_1 == 0 ? home_of(port) : owner_plus_1 - 1;
}

void PortSpace::begin_displacement() {
  if (displaced_ != nullptr) displaced_->fetch_add(1, std::memory_order_relaxed);
}

void PortSpace::end_displacement() {
  if (displaced_ != nullptr) displaced_->fetch_sub(1, std::memory_order_relaxed);
}

void PortSpace::set_owner(std::uint16_t port, std::uint32_t shard) {
  const bool is_displaced = shard != home_of(port);
  if (!is_displaced && displaced_ != nullptr && displaced_->load(std::memory_order_relaxed) == 0) {
    return;
  }
  if (shard == shard_of(port)) return;
  const bool was_displaced = owners_[port].load(std::memory_order_relaxed) != 0;
  if (is_displaced && !was_displaced) begin_displacement();
  owners_[port].store(static_cast<std::uint8_t>(is_displaced ? shard + 1 : 0),
                      std::memory_order_relaxed);
  if (was_displaced && !is_displaced) end_displacement();
}

std::optional<std::uint16_t> PortSpace::take(std::uint32_t shard, std::uint16_t like,
                                             std::uint64_t random, Tick now) {
  if (in_range(like) && take_like(shard, like, now)) return like;
  const Choice choice{class_for(like), like & 1u, static_cast<std::uint32_t>(random >> 32), now};
  return take_near(shard, random, choice, [&](std::uint32_t lender, const Choice& one) {
    return take_from(lender, shard, one);
  });
}

std::optional<std::uint16_t> PortSpace::take_within(const PortRange& block, std::uint32_t shard,
                                                    std::uint16_t like, std::uint64_t random,
                                                    Tick now) {
  const Choice choice{class_for(like), like & 1u, static_cast<std::uint32_t>(random >> 32), now};
  const Stretch within = stretch_within(block, choice.number);
  if (within.size == 0) return {};
  return take_near(shard, random, choice, [&](std::uint32_t lender, const Choice& one) {
    return take_from(lender, shard, one, within);
  });
}

bool PortSpace::has_within(const PortRange& block, std::uint16_t like, Tick now) {
  const std::uint32_t number = class_for(like);
  const Stretch within = stretch_within(block, number);
  if (within.size == 0) return false;
  return std::ranges::any_of(parts_, [&](const auto& part) {
    const Lock lock(part->mutex);
    return std::ranges::any_of(part->sets[number], [&](PortSet& set) {
      return set.has_between(within.first, within.first + within.size, now);
    });
  });
}

// The block's places within a class; none if it has no ports of it.
PortSpace::Stretch PortSpace::stretch_within(const PortRange& block, std::uint32_t number) const {
  const Class& own = classes_[number];
  const std::uint32_t begin = std::max(position_of(block.first), own.first);
  const std::uint32_t end = std::min(position_of(block.last) + 1, own.first + own.size);
  return begin < end ? Stretch{begin - own.first, end - begin} : Stretch{0, 0};
}

// The shard's own ports before those of others, and of each the parity that is wanted first.
template <class TakeFrom>
inline std::optional<std::uint16_t> PortSpace::take_near(std::uint32_t shard, std::uint64_t random,
                                                         Choice choice, TakeFrom take_from) const {
  for (int parities = 0; parities < 2; ++parities, choice.parity ^= 1) {
    if (const auto port = take_from(shard, choice)) return port;
  }
  const std::uint32_t others = shards_ - 1;
  const auto start = static_cast<std::uint32_t>((random & 0xffff'ffff) * others >> 32);
  for (int parities = 0; parities < 2; ++parities, choice.parity ^= 1) {
    for (std::uint32_t i = 0; i < others; ++i) {
      const std::uint32_t lender = (shard + 1 + (start + i) % others) % shards_;
      if (const auto port = take_from(lender, choice)) return port;
    }
  }
  return {};
}

bool PortSpace::take_like(std::uint32_t shard, std::uint16_t like, Tick now) {
  const Lock lock(parts_[home_of(like)]->mutex);
  if (!set_of(like).take_free(place_of(like), now)) return false;
  set_owner(like, shard);
  return true;
}

bool PortSpace::has_itself(std::uint16_t like, Tick now) const {
  if (!in_range(like)) return false;
  const Lock lock(parts_[home_of(like)]->mutex);
  return set_of(like).may_take(place_of(like), now);
}

// Of the lender's ports; `shard` may be the lender itself.
std::optional<std::uint16_t> PortSpace::take_from(std::uint32_t lender, std::uint32_t shard,
                                                  const Choice& choice) {
  Part& part = *parts_[lender];
  PortSet& set = part.sets[choice.number][choice.parity];
  if (!set.may_serve(choice.now)) return {};
  const Stretch all{0, classes_[choice.number].size};
  const std::uint32_t start = start_of(choice.number, all, choice.random);
  const Lock lock(part.mutex);
  const auto place = set.take(start, choice.now);
  if (!place) return {};
  const std::uint16_t port = port_at(choice.number, *place, lender, choice.parity);
  set_owner(port, shard);
  return port;
}

std::optional<std::uint16_t> PortSpace::take_from(std::uint32_t lender, std::uint32_t shard,
                                                  const Choice& choice, const Stretch& within) {
  Part& part = *parts_[lender];
  PortSet& set = part.sets[choice.number][choice.parity];
  if (!set.may_serve(choice.now)) return {};
  const std::uint32_t end = within.first + within.size;
  const std::uint32_t start = start_of(choice.number, within, choice.random);
  const Lock lock(part.mutex);
  const auto place = set.take_between(within.first, end, start, choice.now);
  if (!place) return {};
  const std::uint16_t port = port_at(choice.number, *place, lender, choice.parity);
  set_owner(port, shard);
  return port;
}

std::optional<std::uint16_t> PortSpace::take_resting(std::uint32_t shard, std::uint16_t like,
                                                     Tick now) {
  const std::uint32_t number = class_for(like);
  // Others may take what was found, before it is locked.
  constexpr int attempts = 4;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    std::optional<std::int32_t> longest;
    std::uint32_t lender = 0;
    std::uint32_t parity = 0;
    for (std::uint32_t i = 0; i < 2 * shards_; ++i) {
      const auto since = parts_[i / 2]->sets[number][i % 2].resting_since();
      if (!since || (longest && elapsed(*since, now) <= *longest)) continue;
      longest = elapsed(*since, now);
      lender = i / 2;
      parity = i % 2;
    }
    if (!longest) return {};
    const Lock lock(parts_[lender]->mutex);
    const auto place = parts_[lender]->sets[number][parity].take_resting();
    if (!place) continue;
    const std::uint16_t port = port_at(number, *place, lender, parity);
    set_owner(port, shard);
    return port;
  }
  return {};
}

bool PortSpace::take_resting_itself(std::uint32_t shard, std::uint16_t port) {
  if (!in_range(port)) return false;
  const Lock lock(parts_[home_of(port)]->mutex);
  if (!set_of(port).take_exactly(place_of(port))) return false;
  set_owner(port, shard);
  return true;
}

void PortSpace::end_rest(std::uint16_t port) {
  if (!in_range(port)) return;
  const Lock lock(parts_[home_of(port)]->mutex);
  set_of(port).free_resting(place_of(port));
}

bool PortSpace::has_any(std::uint16_t like, Tick now) const {
  return std::ranges::any_of(parts_, [&](const auto& part) {
    return std::ranges::any_of(part->sets[class_for(like)], [&](const PortSet& set) {
      return set.may_serve(now) || set.resting_since().has_value();
    });
  });
}

bool PortSpace::take_exactly(std::uint32_t shard, std::uint16_t port) {
  if (port == 0) return false;
  if (!in_range(port)) {
    std::uint8_t nobody = 0;
    begin_displacement();
    if (owners_[port].compare_exchange_strong(nobody, static_cast<std::uint8_t>(shard + 1),
                                              std::memory_order_relaxed)) {
      return true;
    }
    end_displacement();
    return false;
  }
  const Lock lock(parts_[home_of(port)]->mutex);
  if (!set_of(port).take_exactly(place_of(port)) && !unpark(port)) return false;
  set_owner(port, shard);
  return true;
}

void PortSpace::set(Bits& bits, std::uint16_t port, bool value) {
  const std::uint64_t bit = std::uint64_t{1} << port % 64;
  if (value) {
    bits[port / 64].fetch_or(bit, std::memory_order_relaxed);
  } else {
    bits[port / 64].fetch_and(~bit, std::memory_order_relaxed);
  }
}

bool PortSpace::unpark(std::uint16_t port) {
  const bool is_parked = test(parked_, port);
  if (is_parked) set(parked_, port, false);
  return is_parked;
}

void PortSpace::withhold(std::uint16_t port, bool is_withheld) {
  if (!in_range(port)) return;
  Part& part = *parts_[home_of(port)];
  const Lock lock(part.mutex);
  if (test(withheld_, port) == is_withheld) return;
  set(withheld_, port, is_withheld);
  if (is_withheld) {
    ++part.withheld;
    if (set_of(port).take_exactly(place_of(port))) set(parked_, port, true);
  } else {
    --part.withheld;
    if (unpark(port)) set_of(port).release(place_of(port));
  }
}

void PortSpace::release([[maybe_unused]] std::uint32_t shard, std::uint16_t port, Tick now,
                        Rest rest) {
  assert(shard_of(port) == shard);
  if (!in_range(port)) {
    assert(owners_[port].load(std::memory_order_relaxed) != 0);
    owners_[port].store(0, std::memory_order_relaxed);
    end_displacement();
    return;
  }
  Part& part = *parts_[home_of(port)];
  const Lock lock(part.mutex);
  set_owner(port, home_of(port));
  if (part.withheld != 0 && is_withheld(port)) {
    set(parked_, port, true);
  } else if (rest == Rest::full) {
    set_of(port).rest(place_of(port), now);
  } else {
    set_of(port).release(place_of(port));
  }
}

}  // namespace swnat
