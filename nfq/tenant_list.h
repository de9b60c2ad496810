// The commands that list namespaces with what they use, and external ports.
#pragma once

#include "nfq/control_lines.h"
#include "nfq/daemon.h"

namespace swnat::nfq {

// "namespace": as requested_namespaces() has it. Of ranges only members that have something, or
// lost something, unless "all" is true. Throws Error.
ControlAnswer list_namespaces(Daemon& daemon, const Json& request);
ControlAnswer list_ports(Daemon& daemon, const Json& request);

}  // namespace swnat::nfq
