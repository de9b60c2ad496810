// What translation may do to a packet's bytes.
#pragma once

#include "tests/fuzz/given.h"

namespace swnat::fuzz {

// Ends the process unless the packet has the changes that its verdict allows: none, or addresses,
// ports and identifiers, identifications where the NAT gives its own, and sums, which are then as
// right or wrong as they were. `given` is the packet as the engine got it, `packet` as it gave it
// back.
void check_changes(const Given& given, const Packet& packet);

}  // namespace swnat::fuzz
