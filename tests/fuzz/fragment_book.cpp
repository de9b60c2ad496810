#include "tests/fuzz/fragment_book.h"

#include "tests/fuzz/target.h"

namespace swnat::fuzz {
namespace {

using namespace std::chrono_literals;

Bytes addresses_of(View packet, const Anatomy& anatomy) {
  const View both = packet.subspan(anatomy.source_at, 2 * anatomy.address_size);
  return {both.begin(), both.end()};
}

std::uint8_t protocol_key(const Anatomy& anatomy) {
  return anatomy.version == 4 ? anatomy.protocol : std::uint8_t{0};
}

// How far the first fragment's headers reach into the fragmented part.
std::uint32_t headers_end(const Anatomy& first) {
  const std::size_t begin = first.version == 4 ? first.transport : first.identification + 4;
  std::size_t transport = 0;
  if (first.protocol == number::tcp) transport = 20;
  if (first.protocol == number::udp || first.is_icmp()) transport = 8;
  return static_cast<std::uint32_t>(first.transport - begin + transport);
}

}  // namespace

void FragmentBook::check(const Given& given, const Packet& packet, Time now) {
  const View before = given.bytes;
  const auto was = read(before);
  const bool is_fragment = was && was->is_fragment();
  if (packet.datagram == 0) {
    require(packet.verdict() != Verdict::hold, "what is held has a datagram's number");
    const bool is_nobodys = given.direction == Direction::hairpin && given.namespace_id == 0;
    require(!is_fragment || is_nobodys || packet.verdict() == Verdict::drop,
            "a fragment has a datagram's number");
  } else {
    require(is_fragment, "only fragments have a datagram's number");
  }
  if (!was) return;
  const Datagram datagram{given.sender(), addresses_of(before, *was), was->identification_is,
                          protocol_key(*was)};
  const View after = packet.bytes;
  if (packet.datagram != 0 && was->is_later()) {
    check_later(datagram, after, packet, now);
    return;
  }
  const auto is = read(after);
  require(is.has_value(), "a packet stays one");
  if (packet.datagram != 0) {
    fates_[datagram] = {packet.reason,       addresses_of(after, *is), is->identification_is,
                        packet.namespace_id, headers_end(*was),        now};
  }
  const bool is_numbered = is->is_fragment() || (is->version == 4 && !is->dont_fragment);
  const bool is_sent =
      packet.reason == Reason::translated_outbound || packet.reason == Reason::translated_hairpin;
  if (is_numbered && is_sent) check_identification(datagram, after, is_fragment);
}

void FragmentBook::check_later(const Datagram& datagram, View after, const Packet& packet,
                               Time now) {
  const auto found = fates_.find(datagram);
  const auto is = read(after);
  const Time lifetime = is->version == 4 ? 15'000ms : 60'000ms;
  const bool is_known = found != fates_.end() && now - found->second.last_asked < lifetime;
  require(is_known == (packet.verdict() != Verdict::hold),
          "a fragment is held as long as nothing is known of the first");
  if (!is_known) return;
  Fate& fate = found->second;
  fate.last_asked = now;
  // RFC 8200 section 4.5: no fragment may overlap another. One that says to be of another protocol
  // shows only beside the first that it would overwrite its headers.
  const bool is_translated =
      verdict_of(fate.reason) == Verdict::accept && fate.reason != Reason::untranslated;
  if (is_translated && is->fragment_offset < fate.headers_end) {
    require(packet.reason == Reason::malformed_fragment, "no fragment overwrites the headers");
    return;
  }
  require(packet.reason == fate.reason, "fragments have the first one's verdict");
  if (packet.verdict() != Verdict::accept) return;
  require(addresses_of(after, *is) == fate.addresses,
          "fragments leave with the first one's addresses");
  require(is->identification_is == fate.identification,
          "fragments leave with the first one's identification");
  require(packet.namespace_id == fate.receiver, "fragments go to the first one's receiver");
}

void FragmentBook::check_identification(const Datagram& datagram, View after, bool is_fragment) {
  const auto is = read(after);
  const auto [at, is_new] = given_out_.try_emplace(
      {addresses_of(after, *is), protocol_key(*is), is->identification_is}, datagram);
  require(is_new || (is_fragment && at->second == datagram),
          "between two endpoints no two datagrams have one identification");
}

}  // namespace swnat::fuzz
