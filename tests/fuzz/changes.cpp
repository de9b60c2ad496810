#include "tests/fuzz/changes.h"

#include <algorithm>

#include "tests/fuzz/target.h"

namespace swnat::fuzz {
namespace {

// Which bytes may be other ones afterwards.
class Allowed {
 public:
  explicit Allowed(std::size_t size) : allowed_(size) {}

  void add(std::size_t at, std::size_t size) {
    for (std::size_t i = at; i < std::min(at + size, allowed_.size()); ++i) allowed_[i] = true;
  }

  void check(View before, View after) const {
    for (std::size_t i = 0; i < before.size(); ++i) {
      require(allowed_[i] || before[i] == after[i],
              "nothing changes but addresses, ports, identifications and sums");
    }
  }

 private:
  std::vector<bool> allowed_;
};

// The fields of a packet that begins at `at`.
void allow_rewrite(Allowed& allowed, std::size_t at, View packet, const Anatomy& anatomy) {
  allowed.add(at + anatomy.source_at, 2 * anatomy.address_size);
  if (anatomy.version == 4) allowed.add(at + 10, 2);
  const auto sum = transport_sum_at(packet, anatomy);
  if (sum) allowed.add(at + *sum, 2);
  if (anatomy.is_later()) return;
  const bool is_error = is_icmp_error(packet, anatomy);
  if (anatomy.has_ports()) allowed.add(at + anatomy.transport, 4);
  if (anatomy.is_icmp() && !is_error) allowed.add(at + anatomy.transport + 4, 2);
}

bool gets_identification(const Given& given, const Packet& packet, const Anatomy& anatomy) {
  if (given.direction == Direction::inbound || packet.reason == Reason::untranslated) return false;
  return anatomy.is_fragment() || (anatomy.version == 4 && !anatomy.dont_fragment);
}

void check_udp_segments(View before, View after, const Anatomy& was, const Anatomy& is) {
  const std::size_t at = was.transport + 6;
  const std::uint16_t expected = ones_sum(
      word_at(before, at),
      ones_sum(address_sum(after, is), static_cast<std::uint16_t>(~address_sum(before, was))));
  require(one_zero(word_at(after, at)) == one_zero(expected),
          "a UDP packet to be segmented keeps the sum of its pseudo-header");
}

void check_transport_sum(View before, View after, const Anatomy& was, const Anatomy& is,
                         ChecksumState state) {
  const auto at = transport_sum_at(before, was);
  if (!at) return;
  if (state == ChecksumState::segmented && was.protocol == number::udp) {
    check_udp_segments(before, after, was, is);
    return;
  }
  const auto damage = transport_damage(before, was);
  const auto damage_after = transport_damage(after, is);
  if (state != ChecksumState::complete) {
    require(damage_after && *damage_after == 0, "an unfinished transport sum is finished");
    return;
  }
  require(damage.has_value() == damage_after.has_value(), "a missing UDP sum stays missing");
  require(damage == damage_after, "a transport sum stays as right or wrong as it was");
}

void check_quoted_sums(View before, View after) {
  const auto was = read(before, true);
  const auto is = read(after, true);
  require(was && is, "a quoted packet stays one");
  if (was->version == 4) {
    require(header_damage(before, *was) == 0 && header_damage(after, *is) == 0,
            "a quoted IP header has a right sum, before and after");
  }
  check_transport_sum(before, after, *was, *is, ChecksumState::complete);
}

}  // namespace

void check_changes(const Given& given, const Packet& packet) {
  const View before = given.bytes;
  const View after = packet.bytes;
  require(after.size() == before.size(), "no packet grows or shrinks");
  const bool is_same = std::ranges::equal(before, after);
  const bool is_accepted = packet.verdict() == Verdict::accept;
  if (!is_accepted) require(is_same, "a packet that is not accepted is untouched");
  if (packet.reason == Reason::untranslated)
    require(is_same, "an untranslated packet is untouched");
  if (is_same) return;

  const auto was = read(before);
  const auto is = read(after);
  require(was && is, "only a packet can be changed");
  Allowed allowed(before.size());
  allow_rewrite(allowed, 0, before, *was);
  if (gets_identification(given, packet, *was)) {
    allowed.add(was->identification, was->version == 4 ? 2 : 4);
  }
  const bool is_error = is_icmp_error(before, *was);
  const View quoted = is_error ? before.first(was->length).subspan(quoted_at(*was)) : View();
  if (is_error) {
    const auto anatomy = read(quoted, true);
    require(anatomy.has_value(), "a translated error quotes a packet");
    allow_rewrite(allowed, quoted_at(*was), quoted, *anatomy);
  }
  allowed.check(before, after);
  if (was->version == 4) {
    require(header_damage(before, *was) == header_damage(after, *is),
            "an IP header's sum stays as right or wrong as it was");
  }
  check_transport_sum(before, after, *was, *is, given.checksum);
  if (!is_error) return;
  if (given.checksum == ChecksumState::complete) {
    require(transport_damage(before, *was) == std::uint16_t{0},
            "a translated error had a right sum");
  }
  check_quoted_sums(quoted, after.first(is->length).subspan(quoted_at(*is)));
}

}  // namespace swnat::fuzz
