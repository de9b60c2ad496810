// The groups of rows. Each builds what it needs, measures it beside its reference, and gives
// everything back.
#pragma once

#include <vector>

#include "tools/bench/rounds.h"

namespace swnat::bench {

using Rows = std::vector<Row>;

// The memory alone, as a lookup meets it.
Rows memory(const Effort& effort);

// Packets of sessions that are there, at each size of the table.
Rows established(const Effort& effort);
// The same from one thread and from two, which meet in the shards or do not.
Rows threads(const Effort& effort);
// Packets that make a session.
Rows new_session(const Effort& effort);
// Packets that make a session where another has to go for it.
Rows evict(const Effort& effort);
// Freeing a million sessions; and the longest of all the calls that fill and empty the table.
Rows expiry(const Effort& effort);
// Taking and giving back external ports.
Rows ports(const Effort& effort);
// ICMP errors about packets of sessions.
Rows errors(const Effort& effort);
// Fragments of datagrams of sessions.
Rows fragments(const Effort& effort);
// Full checksums.
Rows sums(const Effort& effort);
// What a first try would have been.
Rows baseline(const Effort& effort);

}  // namespace swnat::bench
