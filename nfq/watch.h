// The command `watch` of the control protocol: a stream without an end of what happens to mappings,
// sessions and port blocks, a line for each event (event_json.h).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "nfq/control_client.h"
#include "swnat/event.h"

namespace swnat::nfq {

class Daemon;

// By the key "events": "mapping,session,refused,block" or some of these; without it all. Throws
// Error.
EventKinds requested_events(const nlohmann::ordered_json& request);

// The answer to such a request, which may name sessions as others do (session_request.h), but not
// by what changes with time. Throws Error.
ControlAnswer watch(Daemon& daemon, const nlohmann::ordered_json& request);

}  // namespace swnat::nfq
