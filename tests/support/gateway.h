// An engine with a clock that tests set, and the packets that they send through it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/wire/family.h"
#include "swnat/engine.h"
#include "tests/support/packets.h"
#include "tests/support/texts.h"

namespace swnat::test {

using namespace std::chrono_literals;

inline constexpr NamespaceId blue = 1;
inline constexpr NamespaceId green = 2;
inline constexpr Host external_host = Host::of(203, 0, 113, 1);
inline constexpr Peer client{Host::of(10, 0, 0, 2), 40000};
inline constexpr Peer server{Host::of(198, 51, 100, 7), 80};
inline constexpr Peer neighbour{Host::of(10, 0, 0, 9), 5004};   // of the client
inline constexpr Peer stranger{Host::of(192, 0, 2, 99), 7777};  // whom nobody has asked
inline constexpr Host router = Host::of(192, 0, 2, 33);         // on the way to the server
inline constexpr std::uint8_t all_protocols[] = {protocol::icmp, protocol::tcp, protocol::udp};
inline constexpr std::uint8_t protocols_with_ports[] = {protocol::tcp, protocol::udp};

constexpr Peer at(Peer peer, std::uint16_t port) {
  return {peer.address, port};
}

inline Peer peer_of(const IpEndpoint& endpoint) {
  return {std::get<Host>(endpoint.address), endpoint.port};
}

// 64 namespaces from 1 on, with room for all that a test makes, and one external address.
Policy roomy_policy();
Policy policy_with(Filtering filtering);
Policy policy_with(PortRanges ports);
EngineOptions options_of(std::uint32_t shards, std::uint32_t max_sessions = 8192);

// What came of one packet.
struct Outcome {
  Reason reason;
  Bytes bytes;
  NamespaceId namespace_id;

  bool accepted() const { return verdict_of(reason) == Verdict::accept; }
  Peer source() const { return source_of(bytes); }
  Peer destination() const { return destination_of(bytes); }
};

class Gateway {
 public:
  explicit Gateway(Policy policy = roomy_policy(), EngineOptions options = options_of(1))
      : now(options.now.value_or(start)),
        engine(options, std::make_shared<const Policy>(std::move(policy))) {}

  Outcome translate(Direction direction, NamespaceId id, Bytes bytes,
                    ChecksumState checksum = ChecksumState::complete);
  Outcome out(NamespaceId id, Bytes bytes, ChecksumState checksum = ChecksumState::complete) {
    return translate(Direction::outbound, id, std::move(bytes), checksum);
  }
  Outcome in(Bytes bytes, ChecksumState checksum = ChecksumState::complete) {
    return translate(Direction::inbound, 0, std::move(bytes), checksum);
  }
  Outcome hairpin(NamespaceId id, Bytes bytes, ChecksumState checksum = ChecksumState::complete) {
    return translate(Direction::hairpin, id, std::move(bytes), checksum);
  }

  // Opens a session that must be accepted; its external endpoint.
  Peer open(std::uint8_t protocol, NamespaceId id, Peer internal, Peer remote);
  // What comes of a datagram from that port of the client's.
  Reason try_open(NamespaceId id, std::uint16_t port, Peer remote = server) {
    return out(id, udp(at(client, port), remote)).reason;
  }
  // Whether the remote's answer reaches this very internal endpoint; else it must be dropped.
  bool answers(std::uint8_t protocol, Peer remote, Peer external, NamespaceId id, Peer internal);

  void travel(Time duration) { now += duration; }
  void expire_all();
  // Later by that, and the time of all that was over by then has been noticed.
  void expire_after(Time duration);
  // The time of all sessions is over, none of which may be an established TCP connection, and what
  // they had rests from now on.
  void end_all(Time after = 5min);
  std::vector<SessionView> sessions();
  std::uint32_t session_count(NamespaceId id);
  NamespaceUse use_of(NamespaceId id) const;
  void set_policy(Policy policy) {
    engine.set_policy(std::make_shared<const Policy>(std::move(policy)), now);
  }
  std::uint64_t count(Reason reason) const {
    return engine.counters()[static_cast<std::size_t>(reason)];
  }

  static constexpr Time start = 1'000'000ms;

  Time now;
  Engine engine;
};

}  // namespace swnat::test
