#include "engine/fragments/datagrams.h"

#include <cstring>

#include "engine/wire/checksum.h"
#include "engine/wire/fragment.h"

namespace swnat {
namespace {

// How far the headers of a first fragment reach into its fragmented part.
template <class Family>
std::uint16_t headers_end(const Parsed<Family>& parsed) {
  constexpr std::size_t identification_size = 4;  // the last field of an IPv6 fragment header
  const std::size_t begin = Family::version == 4
                                ? parsed.transport_offset
                                : parsed.identification_offset + identification_size;
  return static_cast<std::uint16_t>(parsed.transport_offset - begin +
                                    first_fragment_min(parsed.protocol));
}

// Whether two first fragments, which came as one datagram's, leave as one's too.
template <class Family>
bool leave_alike(const DatagramFate<Family>& a, const DatagramFate<Family>& b) {
  return a.source_port == b.source_port && a.destination_port == b.destination_port &&
         a.source == b.source && a.destination == b.destination;
}

bool is_translated(Reason reason) {
  return verdict_of(reason) == Verdict::accept && reason != Reason::untranslated;
}

}  // namespace

template <class Family>
Datagrams<Family>::Datagrams(std::uint32_t tables, const Secret& secret,
                             Identifications& identifications)
    : secret_(secret), identifications_(identifications) {
  for (std::uint32_t i = 0; i < tables; ++i) {
    parts_.push_back(std::make_unique<Part>(fragment_limits<Family>(tables), secret));
  }
}

template <class Family>
void Datagrams<Family>::populate() {
  for (const auto& one : parts_) {
    const Lock lock(one->mutex);
    one->table.populate();
  }
}

template <class Family>
DatagramKey<Family> Datagrams<Family>::name(const Parsed<Family>& parsed, Packet& packet) const {
  const bool is_inbound = packet.direction == Direction::inbound;
  const DatagramKey<Family> key{
      .namespace_id = is_inbound ? 0 : packet.namespace_id,
      .source = parsed.source,
      .destination = parsed.destination,
      .identification = parsed.piece.identification,
      .protocol = Family::version == 4 ? parsed.protocol : std::uint8_t{0}};
  packet.datagram = key.hash(secret_) | 1;
  return key;
}

template <class Family>
void Datagrams<Family>::remember(const DatagramKey<Family>& key, const Parsed<Family>& parsed,
                                 Packet& packet, Reason reason, Tick now) {
  DatagramFate<Family> fate{.reason = reason};
  std::uint8_t* ip = packet.bytes.data();
  if (is_translated(reason)) {
    std::memcpy(&fate.source, ip + Family::source_offset, sizeof fate.source);
    std::memcpy(&fate.destination, ip + Family::destination_offset, sizeof fate.destination);
    fate.identification = parsed.piece.identification;
    fate.receiver = packet.namespace_id;
    fate.source_port = parsed.source_port;
    fate.destination_port = parsed.destination_port;
    fate.headers_end = headers_end(parsed);
  }
  Part& part = part_of(parsed);
  const Lock lock(part.mutex);
  if (is_translated(reason) && packet.direction != Direction::inbound) {
    const DatagramFate<Family>* known = part.table.find(key, now);
    const bool is_again = known != nullptr && leave_alike(*known, fate);
    fate.identification = is_again ? known->identification : new_identification(packet);
    write_identification<Family>(ip, parsed.identification_offset, fate.identification);
  }
  part.table.remember(key, fate, now);
}

template <class Family>
Reason Datagrams<Family>::follow(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  const DatagramKey<Family> key = name(parsed, packet);
  Part& part = part_of(parsed);
  const Lock lock(part.mutex);
  const DatagramFate<Family>* fate = part.table.find(key, now);
  if (fate == nullptr) return Reason::fragment_waits;
  if (!is_translated(fate->reason)) return fate->reason;
  if (parsed.piece.offset < fate->headers_end) return Reason::malformed_fragment;
  std::uint8_t* ip = packet.bytes.data();
  const ChecksumDelta delta = delta_of(Family::sum(parsed.source) + Family::sum(parsed.destination),
                                       Family::sum(fate->source) + Family::sum(fate->destination));
  write_addresses<Family>(ip, fate->source, fate->destination, delta);
  if (fate->identification != parsed.piece.identification) {
    write_identification<Family>(ip, parsed.identification_offset, fate->identification);
  }
  packet.namespace_id = fate->receiver;
  return fate->reason;
}

template <class Family>
void Datagrams<Family>::expire(std::uint32_t table, Tick now, std::uint32_t budget) {
  Part& part = *parts_[table];
  const Lock lock(part.mutex);
  part.table.expire(now, budget);
}

template <class Family>
std::uint32_t Datagrams<Family>::new_identification(const Packet& packet) {
  // Segmentation numbers the packets that it makes on from the first.
  constexpr std::size_t segment_min = 512;
  const std::size_t count =
      packet.checksum == ChecksumState::segmented ? packet.bytes.size() / segment_min + 1 : 1;
  const std::uint8_t* ip = packet.bytes.data();
  typename Family::Address source;
  typename Family::Address destination;
  std::memcpy(&source, ip + Family::source_offset, sizeof source);
  std::memcpy(&destination, ip + Family::destination_offset, sizeof destination);
  // An IPv6 receiver does not look at the protocol (RFC 8200 section 4.5).
  const std::uint8_t protocol = Family::version == 4 ? ip[9] : std::uint8_t{0};
  const std::uint64_t endpoints = Family::hash(source, destination, protocol, secret_);
  return identifications_.next_wide(endpoints, static_cast<std::uint16_t>(count));
}

template class Datagrams<Ipv4>;
template class Datagrams<Ipv6>;

}  // namespace swnat
