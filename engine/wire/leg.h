// What the addresses and ports of a packet are to a NAT.
#pragma once

#include <cstdint>

#include "engine/wire/family.h"

namespace swnat {

// The two ends of a session as one side of the NAT sees them. On the inside, `local` is the
// internal endpoint; on the outside it is the external endpoint. `remote` is the remote endpoint on
// both, which a redirect makes differ. For ICMP echo the local port is the identifier and the
// remote port is 0; protocols without ports have 0 for both.
template <class Family>
struct Leg {
  typename Family::Address local;
  typename Family::Address remote;
  std::uint16_t local_port;
  std::uint16_t remote_port;

  friend bool operator==(const Leg& a, const Leg& b) {
    const unsigned ports =
        (unsigned{a.local_port} ^ b.local_port) | (unsigned{a.remote_port} ^ b.remote_port);
    return (difference(a.local, b.local) | difference(a.remote, b.remote) | ports) == 0;
  }
};

}  // namespace swnat
