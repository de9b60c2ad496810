// An event as clients of the control socket read it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "rules/config/config.h"
#include "swnat/event.h"
#include "swnat/time.h"

namespace swnat::nfq {

// Named as in lists of sessions, with "time" (seconds since 1970) and "event" (a kind of
// swnat/event.h), and what belongs to it: "cause" why it ended, "reason" why it was refused,
// "direction" of the packet that made it or was refused, "forward" where the external endpoint is a
// rule's, "outbound" and "inbound" traffic of a session that ended, the "ports" of a block. "lost"
// has the "count" of events that are missing there, and the kind "of" which they were if that is
// known. `ago` is how long the event is past.
nlohmann::ordered_json event_json(const Event& event, const rules::Config& config, Time ago);

}  // namespace swnat::nfq
