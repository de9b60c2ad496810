// Whether a policy would still have a session made as it is.
#pragma once

#include "engine/policy/namespaces.h"
#include "engine/session/session.h"

namespace swnat {

template <class Family>
bool fits(const Session<Family>& session, const Snapshot& policy);

}  // namespace swnat
