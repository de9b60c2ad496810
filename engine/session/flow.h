// The two flows of a session: how each rewrites its packets, and the ICMP errors about them.
#pragma once

#include "engine/session/session.h"
#include "engine/wire/icmp_error.h"
#include "engine/wire/parse.h"
#include "engine/wire/rewrite.h"

namespace swnat {

template <class Family>
Rewrite<Family> outbound_rewrite(const Session<Family>& session) {
  const Leg<Family>& leg = session.outside;
  return {leg.local,
          leg.remote,
          leg.local_port,
          leg.remote_port,
          session.address_delta,
          session.transport_delta};
}

template <class Family>
Rewrite<Family> inbound_rewrite(const Session<Family>& session) {
  const Leg<Family>& leg = session.inside;
  return {leg.remote,
          leg.local,
          leg.remote_port,
          leg.local_port,
          static_cast<ChecksumDelta>(~session.address_delta),
          static_cast<ChecksumDelta>(~session.transport_delta)};
}

// Sets the deltas of a session from its legs.
template <class Family>
void set_deltas(Session<Family>& session);

// About a packet that the session sent out, and about one that it delivered.
template <class Family>
ErrorRewrite<Family> inbound_error_rewrite(const Session<Family>& session,
                                           const Parsed<Family>& parsed);
template <class Family>
ErrorRewrite<Family> outbound_error_rewrite(const Session<Family>& session);

}  // namespace swnat
