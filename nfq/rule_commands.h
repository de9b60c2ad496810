// The answers to commands about rules that are added while the daemon runs: forward-add,
// forward-remove, forward-list, and those of drops.
#pragma once

#include "nfq/control_client.h"
#include "nfq/control_lines.h"
#include "nfq/daemon.h"

namespace swnat::nfq {

// Each throws Error. A rule that is added is in force when the answer is sent, and a forward keeps
// its external endpoint for as long as it is there. Adding it again, by the same owner, renews what
// else is said of it.
ControlAnswer add_forward(Daemon& daemon, const Json& request);
ControlAnswer remove_forward(Daemon& daemon, const Json& request);
ControlAnswer list_forwards(Daemon& daemon, const Json& request);

ControlAnswer add_drop(Daemon& daemon, const Json& request);
ControlAnswer remove_drop(Daemon& daemon, const Json& request);
ControlAnswer list_drops(Daemon& daemon, const Json& request);

}  // namespace swnat::nfq
