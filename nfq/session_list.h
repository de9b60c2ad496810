// The commands that list sessions and mappings, and say how many sessions there are.
#pragma once

#include "nfq/control_lines.h"
#include "nfq/daemon.h"

namespace swnat::nfq {

// By what requested_list() reads. Throw Error.
ControlAnswer list_sessions(Daemon& daemon, const Json& request);
ControlAnswer list_mappings(Daemon& daemon, const Json& request);
// By what requested_sessions() reads; "by" is "namespace", "protocol" or "state", and then the
// answer has "by", too, with a number for each that has any. Throws Error.
ControlAnswer count_sessions(Daemon& daemon, const Json& request);

}  // namespace swnat::nfq
