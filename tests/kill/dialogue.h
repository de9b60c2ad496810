// Two endpoints that may have a session, and the packets that they send: all that the killed
// processes ever do, known before the first of them starts.
#pragma once

#include <cstdint>
#include <vector>

#include "swnat/engine.h"
#include "tests/support/packets.h"

namespace swnat::test {

inline constexpr std::uint32_t workers = 3;
inline constexpr std::uint32_t crowd_limit = 16;
// The external address of the family of `like`.
IpAddress external_address(const IpAddress& like);

// Each worker has two namespaces. One has room for all, and its sessions expire and are closed. The
// other is at its limit nearly always, and its sessions are evicted, which is foreseen exactly: so
// they do not expire.
constexpr NamespaceId roomy_namespace(std::uint32_t worker) {
  return 1 + 2 * worker;
}
constexpr NamespaceId crowded_namespace(std::uint32_t worker) {
  return 2 + 2 * worker;
}
inline constexpr NamespaceId new_namespace = 100;  // which the killed processes do not use

struct Dialogue {
  NamespaceId namespace_id = 0;
  std::uint8_t protocol = 0;
  IpEndpoint internal = {};
  IpEndpoint remote = {};  // of a ping, the port is 0

  std::int64_t timeout = 0;  // how long it may be idle, in ticks

  Bytes opening = {};  // from the internal endpoint: a datagram, a ping, a SYN
  Bytes answer =
      {};  // from the remote to the external address, port 0: the same, or a SYN with ACK
  Bytes further = {};  // as `opening`, but an ACK for TCP
  Bytes replied = {};  // as `answer`, but an ACK for TCP
  Bytes reset = {};    // from the internal endpoint; TCP only
};

enum class IpVersion : std::uint8_t { v4, v6 };

// Of protocol 1 (for v6, ICMPv6), 6 or 17.
Dialogue dialogue_of(NamespaceId id, IpVersion version, std::uint8_t protocol, Peer internal,
                     Peer remote);

// Of packets of dialogues, of either family.
IpEndpoint destination_in(View packet);
// The checksum is not right then, which is nothing to the engine.
void set_destination_port(std::span<std::uint8_t> packet, std::uint16_t port);

Policy kill_policy();
EngineOptions kill_options(std::span<std::byte> memory, std::uint64_t secret, Time now);

// What one worker may do, apart by namespace; the same endpoints for every worker.
struct Repertoire {
  std::vector<Dialogue> roomy;
  std::vector<Dialogue> crowded;
};
Repertoire repertoire_of(std::uint32_t worker);

}  // namespace swnat::test
