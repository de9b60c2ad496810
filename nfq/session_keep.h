// The command session-keep: a session that somebody wants to be there, such as a client of PCP.
#pragma once

#include <nlohmann/json.hpp>

#include "nfq/control_client.h"
#include "rules/config/config.h"
#include "swnat/engine.h"

namespace swnat::nfq {

class Daemon;

// Of the keys below. Throws Error for what is no such request, or names no session that could come
// to the NAT.
SessionName requested_session(const nlohmann::ordered_json& request, const rules::Config& config);

// Keys: "namespace", "protocol" ("tcp" or "udp"), "internal" and "remote" (endpoints), all text.
// Does what a packet of that host would, but sends none (Engine::keep_session), and answers with
// the session's external endpoint. A refusal has "reason", a name of swnat/reason.h, where a packet
// would be dropped for it. Throws as requested_session() does.
ControlAnswer keep_session(Daemon& daemon, const nlohmann::ordered_json& request);

}  // namespace swnat::nfq
