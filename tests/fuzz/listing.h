// The sessions that an engine lists, and what must always hold of them.
#pragma once

#include <vector>

#include "tests/fuzz/world.h"

namespace swnat::fuzz {

using Listing = std::vector<SessionView>;

Listing listing_of(const Engine& engine, Time now);

// What makes a session this one and no other.
bool is_same(const SessionView& a, const SessionView& b);
bool is_unchanged(const Listing& before, const Listing& after);  // nothing at all is
const SessionView* find(const Listing& listing, const SessionView& session);

// End the process if they do not hold.

// Counts agree, and no limit is exceeded.
void check_counts(const Engine& engine, const Policy& policy, const Listing& listing,
                  std::uint32_t max_sessions);

// Every external endpoint has one owner, and belongs to the namespace's addresses or a rule.
void check_owners(const Policy& policy, const Listing& listing);

// A packet of that namespace, or from outside (0), came in between: no other namespace lost a
// session, and nobody lost one for an inbound packet.
void check_losses(const Listing& before, const Listing& after, const Policy& policy,
                  NamespaceId sender);

}  // namespace swnat::fuzz
