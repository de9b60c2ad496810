// What a packet would meet, step by step: the kernel's rules and routes, and the engine's outlook.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "nfq/control_client.h"
#include "nfq/trace_request.h"
#include "rules/config/config.h"
#include "rules/kernel/inspect.h"
#include "rules/routes/route_lookup.h"
#include "swnat/outlook.h"

namespace swnat::nfq {

class Daemon;

// Who is asked.
struct TraceSources {
  const rules::Config& config;
  const rules::Inspection& rules;
  std::function<Outlook(const Question&)> outlook;
  std::function<rules::RouteAnswer(const rules::RouteQuestion&)> route;
};

// {"packet":{…},"steps":[{"step":…,"result":…,"text":…},…],"outcome":{…}}. A step's "result" is
// "ok", "stop" for the one that decides the outcome, "fault" for what is wrong behind that, and
// "unknown". Its other members are for programs, as are those of "packet" and "outcome"; "text" is
// for people, and may change.
nlohmann::ordered_json trace_json(const TraceRequest& request, const TraceSources& sources);

// The command.
ControlAnswer trace(Daemon& daemon, const nlohmann::ordered_json& request);

}  // namespace swnat::nfq
