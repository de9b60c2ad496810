#include "engine/hairpin.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace swnat {
namespace {

// What a translation changes in a packet that is no ICMP error, as it was before.
template <class Family>
class Original {
 public:
  Original(const Parsed<Family>& parsed, const Packet& packet)
      : namespace_id_(packet.namespace_id),
        transport_(parsed.transport_offset),
        transport_size_(std::min<std::size_t>(parsed.transport_size, tcp_header_min)) {
    std::memcpy(ip_.data(), packet.bytes.data(), ip_.size());
    std::memcpy(header_.data(), packet.bytes.data() + transport_, transport_size_);
  }

  void restore(Packet& packet) const {
    packet.namespace_id = namespace_id_;
    std::memcpy(packet.bytes.data(), ip_.data(), ip_.size());
    std::memcpy(packet.bytes.data() + transport_, header_.data(), transport_size_);
  }

 private:
  NamespaceId namespace_id_;
  std::size_t transport_;
  std::size_t transport_size_;
  std::array<std::uint8_t, Family::version == 4 ? ipv4_header_min : ipv6_header_size> ip_;
  std::array<std::uint8_t, tcp_header_min> header_;
};

}  // namespace

template <class Family>
Reason Hairpin<Family>::translate(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  if (parsed.is_icmp_error) return translate_error(parsed, packet, now);
  const Reason reason = shards_.externals().contains(parsed.destination)
                            ? to_external(parsed, packet, now)
                            : send(parsed, packet, true, now);
  return reason == Reason::unknown_namespace ? Reason::foreign_fwmark : reason;
}

// What is sent to an external address may be for a service of the gateway itself. So nothing is
// established before it is known that the external endpoint is a namespace's. If it is, but does
// not permit the sender, the sender's session stays nevertheless: it is what permits the other
// one's packets, when two namespaces' hosts open a way to each other at the same time.
template <class Family>
Reason Hairpin<Family>::to_external(const Parsed<Family>& parsed, Packet& packet, Tick now) {
  if (packet.namespace_id != 0) {
    Shard<Family>& own = shards_.of_outside(parsed);
    const SoonLock lock(own.mutex);
    Packet received = packet;
    received.direction = Direction::inbound;
    const Reason reason = own.answer(parsed, received, now);
    if (reason != Reason::no_mapping) {
      packet.namespace_id = received.namespace_id;
      return reason;
    }
  }
  bool turns_back = false;
  if (const auto reason = before_sending(parsed, packet, turns_back, nullptr, now)) return *reason;
  const Reason reason = send(parsed, packet, !turns_back, now);
  return turns_back ? not_on_the_way_out(reason) : reason;
}

template <class Family>
std::optional<Reason> Hairpin<Family>::before_sending(const Parsed<Family>& parsed,
                                                      const Packet& packet, bool& turns_back,
                                                      bool* meets_over, Tick now) {
  using Prospect = typename Shard<Family>::Prospect;
  Prospect prospect;
  {
    Shard<Family>& own = shards_.of_inside(parsed);
    const SoonLock lock(own.mutex);
    const typename Sessions<Family>::Look look(own.sessions(), meets_over);
    prospect = own.prospect(parsed, packet, now);
  }
  if (prospect == Prospect::asks_for_owner) {
    // What comes in by ICMP are answers.
    if (parsed.protocol == Family::icmp_protocol) return Reason::foreign_icmp;
    if (!has_owner(parsed, meets_over, now)) return Reason::no_mapping;
  }
  turns_back = prospect == Prospect::asks_for_owner || prospect == Prospect::has_session;
  if (turns_back && !is_allowed_.load(std::memory_order_relaxed)) return Reason::hairpin_off;
  return {};
}

template <class Family>
bool Hairpin<Family>::has_owner(const Parsed<Family>& parsed, bool* meets_over, Tick now) {
  if (protocol::is_portless(parsed.protocol)) return false;
  Shard<Family>& own = shards_.of_outside(parsed);
  const SoonLock lock(own.mutex);
  const typename Sessions<Family>::Look look(own.sessions(), meets_over);
  return own.has_owner(parsed, now);
}

// RFC 4787 REQ-9: the receiver sees the sender's external endpoint. `is_for_gateway`: what no
// namespace takes is for the gateway itself, which has asked for it or which it was redirected to.
template <class Family>
Reason Hairpin<Family>::send(const Parsed<Family>& parsed, Packet& packet, bool is_for_gateway,
                             Tick now) {
  const Original<Family> original(parsed, packet);
  Reason reason = passage_.outbound(parsed, packet, now);
  if (reason == Reason::translated_outbound) {
    reason = receive(packet, now);
    if (is_for_gateway && verdict_of(reason) == Verdict::pass) reason = Reason::translated_outbound;
  }
  // So that whoever sent it can be told of it, or that it can go on.
  if (verdict_of(reason) != Verdict::accept) original.restore(packet);
  return reason;
}

// The inbound half, if the outbound one has led to an external address.
template <class Family>
Reason Hairpin<Family>::receive(Packet& packet, Tick now) {
  Packet received = packet;
  received.direction = Direction::inbound;
  // The first half wrote the full sum.
  if (packet.checksum == ChecksumState::partial) received.checksum = ChecksumState::complete;
  Parsed<Family> translated;
  // What a namespace sends beside echo requests never comes in.
  if (parse(received.bytes, Direction::inbound, translated)) return Reason::translated_outbound;
  if (const auto other = before_receiving(translated, nullptr, now)) return *other;
  const Reason reason = passage_.inbound(translated, received, now);
  if (verdict_of(reason) != Verdict::accept) return reason;
  packet.namespace_id = received.namespace_id;
  return Reason::translated_hairpin;
}

template <class Family>
std::optional<Reason> Hairpin<Family>::before_receiving(const Parsed<Family>& translated,
                                                        bool* meets_over, Tick now) {
  if (!shards_.externals().contains(translated.destination)) return Reason::translated_outbound;
  if (translated.is_icmp_error || is_allowed_.load(std::memory_order_relaxed)) return {};
  return has_owner(translated, meets_over, now) ? Reason::hairpin_off : Reason::no_mapping;
}

// An error about what a session delivered, which came from another namespace's, or from the
// gateway.
template <class Family>
Reason Hairpin<Family>::translate_error(const Parsed<Family>& parsed, Packet& error, Tick now) {
  const Reason reason = passage_.icmp_error(parsed, error, now);
  if (reason != Reason::translated_outbound) return reason;
  const Reason received = receive(error, now);
  return verdict_of(received) == Verdict::accept ? received : reason;
}

template class Hairpin<Ipv4>;
template class Hairpin<Ipv6>;

}  // namespace swnat
